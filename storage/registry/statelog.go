package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"hyzer/storage/kv"
)

// logEntriesMax bounds the state log of one node; the oldest entry goes first.
const logEntriesMax = 10_000

// AppendLog writes one entry of a node's state log. The caller, stated, numbers
// entries and writes the NodeState that they lead to in the same transaction.
func AppendLog(tx *Tx, entry *StateLogEntry) error {
	value, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("registry: state log of %s: %w", entry.Node, err)
	}
	if err := tx.kv.Put(logKey(entry.Node, entry.Seq), value); err != nil {
		return err
	}
	if entry.Seq <= logEntriesMax {
		return nil
	}
	return tx.kv.Delete(logKey(entry.Node, entry.Seq-logEntriesMax))
}

// FirstState is the state record of a node that has none yet. A node that was
// deleted and made again goes on counting where it stopped: its log is never
// written twice, and a timer of its first life means nothing in its second.
func FirstState(tx *Tx, node string) (*NodeState, error) {
	state := &NodeState{Node: node}
	value, err := tx.kv.Get([]byte(gonePrefix + node))
	if errors.Is(err, kv.ErrNotFound) {
		return state, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(value, state); err != nil {
		return nil, fmt.Errorf("registry: counters of %s: %w", node, err)
	}
	return state, nil
}

// endLog writes the last entry of a node that is deleted, so that nobody waits
// for it, and keeps its counters.
func endLog(tx *Tx, node string) error {
	state, err := Lookup[NodeState](tx, node)
	if err != nil || state == nil {
		return err
	}
	state.Seq++
	entry := &StateLogEntry{Node: node, Seq: state.Seq, At: time.Now().UTC(), FromMode: state.Mode, Mode: state.Mode,
		From: state.State, To: state.State, Source: "registry", Ended: EndedDeleted}
	if err := AppendLog(tx, entry); err != nil {
		return err
	}
	value, err := json.Marshal(NodeState{Node: node, Seq: state.Seq, Life: state.Life, Generation: state.Generation})
	if err != nil {
		return err
	}
	return tx.kv.Put([]byte(gonePrefix+node), value)
}

func logKey(node string, seq uint64) []byte {
	return fmt.Appendf(nil, "%s%s/%016x", logPrefix, node, seq)
}

// StateLog reads a node's log entries with Seq > after, oldest first, at most
// limit of them (0: all).
func (r *Registry) StateLog(ctx context.Context, node string, after uint64, limit int) ([]StateLogEntry, error) {
	var entries []StateLogEntry
	err := r.store.View(ctx, func(reader kv.Reader) error {
		start, end := logKey(node, after+1), logKey(node, ^uint64(0))
		return reader.ScanRange(start, end, false, func(key, value []byte) error {
			var entry StateLogEntry
			if err := json.Unmarshal(value, &entry); err != nil {
				return fmt.Errorf("registry: state log %s: %w", key, err)
			}
			entries = append(entries, entry)
			if len(entries) == limit {
				return kv.ErrStop
			}
			return nil
		})
	})
	return entries, err
}

// LogWatcher delivers state log entries of all nodes in revision order.
type LogWatcher struct{ watcher kv.Watcher }

// WatchLog delivers every entry written after a revision, once and in order,
// or kv.ErrCompacted if some are no longer kept as history.
func (r *Registry) WatchLog(ctx context.Context, after kv.Revision) (*LogWatcher, error) {
	watcher, err := r.store.Watch(ctx, []byte(logPrefix), after)
	if err != nil {
		return nil, err
	}
	return &LogWatcher{watcher}, nil
}

// Next blocks for the next entries, all of whole revisions.
func (w *LogWatcher) Next(ctx context.Context) ([]StateLogEntry, error) {
	for {
		events, err := w.watcher.Next(ctx)
		if err != nil {
			return nil, err
		}
		var entries []StateLogEntry
		for _, ev := range events {
			if ev.Deleted {
				continue // trimmed, not taken back
			}
			var entry StateLogEntry
			if err := json.Unmarshal(ev.Value, &entry); err != nil {
				return nil, fmt.Errorf("registry: state log %s: %w", ev.Key, err)
			}
			entry.Revision = ev.Revision
			entries = append(entries, entry)
		}
		if len(entries) > 0 {
			return entries, nil
		}
	}
}

// Close ends the watch.
func (w *LogWatcher) Close() { w.watcher.Close() }

// Moved is closed at the next change of the snapshot. Take it before reading
// Snapshot, and no change is missed.
func (r *Registry) Moved() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.moved
}
