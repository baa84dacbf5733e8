package control

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// progressInterval spaces the progress lines of a stream.
const progressInterval = 500 * time.Millisecond

// changes streams steps of all nodes after a revision, and the progress of
// loads as it is known.
func (s *Server) changes(req *http.Request, out *reply) error {
	after, err := number(req, "after")
	if err != nil {
		return err
	}
	if !req.URL.Query().Has("after") {
		after = uint64(s.snapshot().Revision())
	}
	watcher, err := s.cfg.Registry.WatchLog(req.Context(), kv.Revision(after))
	if err != nil {
		return fmt.Errorf("changes after revision %d: %w", after, err)
	}
	defer watcher.Close()
	if err := out.begin(); err != nil {
		return err
	}
	told := map[string]Progress{}
	for {
		entries, err := nextEntries(req.Context(), watcher)
		if err != nil {
			return err
		}
		for i := range entries {
			if err := out.line(Change{Node: entries[i].Node, Entry: &entries[i]}); err != nil {
				return err
			}
		}
		if told, err = tellProgress(out, told, s.cfg.Progress()); err != nil {
			return err
		}
	}
}

// nextEntries waits for entries, but no longer than the next look at progress.
func nextEntries(ctx context.Context, watcher *registry.LogWatcher) ([]registry.StateLogEntry, error) {
	brief, cancel := context.WithTimeout(ctx, progressInterval)
	defer cancel()
	entries, err := watcher.Next(brief)
	switch {
	case ctx.Err() != nil:
		return nil, errStopping
	case err != nil && brief.Err() != nil:
		return nil, nil
	}
	return entries, err
}

// tellProgress writes what is new since told, and returns what is told now.
func tellProgress(out *reply, told, now map[string]Progress) (map[string]Progress, error) {
	for _, node := range slices.Sorted(maps.Keys(now)) {
		p := now[node]
		if told[node] == p {
			continue
		}
		if err := out.line(Change{Node: node, Progress: &p}); err != nil {
			return nil, err
		}
	}
	return now, nil
}
