package bloblog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"hyzer/storage/kv"
)

// Chunk is a piece of a log.
type Chunk struct {
	Offset int64
	Text   []byte
}

// List returns a node's logs, newest first.
func (l *Logs) List(ctx context.Context, node string) ([]Log, error) {
	var logs []Log
	err := l.store.View(ctx, func(r kv.Reader) error {
		for before := uint64(math.MaxUint64); ; {
			log, err := newest(r, node, before)
			if err != nil || log == nil {
				return err
			}
			logs = append(logs, *log)
			before = log.Boot
		}
	})
	return logs, err
}

// Get returns a log's record. Boot 0 is the newest.
func (l *Logs) Get(ctx context.Context, node string, boot uint64) (*Log, error) {
	var log *Log
	err := l.store.View(ctx, func(r kv.Reader) (err error) {
		log, err = find(r, node, boot)
		return err
	})
	return log, err
}

func find(r kv.Reader, node string, boot uint64) (*Log, error) {
	if boot != 0 {
		return readRecord(r, node, boot)
	}
	log, err := newest(r, node, math.MaxUint64)
	if err == nil && log == nil {
		err = fmt.Errorf("%w: node %s has none", ErrNotFound, node)
	}
	return log, err
}

// ReadAt returns some of the text kept at or after an offset: at most
// about readBytesMax bytes, none at the end. Where the text was cut, the next
// chunk's Offset is further on.
func (l *Logs) ReadAt(ctx context.Context, node string, boot uint64, offset int64) (*Log, []Chunk, error) {
	log, chunks, _, err := l.readAt(ctx, node, boot, offset)
	return log, chunks, err
}

func (l *Logs) readAt(ctx context.Context, node string, boot uint64, offset int64) (log *Log, chunks []Chunk, at kv.Revision, err error) {
	err = l.store.View(ctx, func(r kv.Reader) (err error) {
		at = r.Revision()
		if log, err = find(r, node, boot); err != nil {
			return err
		}
		chunks, err = readChunks(r, log, max(offset, 0))
		return err
	})
	return log, chunks, at, err
}

// readChunks begins with the chunk that holds offset, which may start before.
func readChunks(r kv.Reader, log *Log, offset int64) ([]Chunk, error) {
	start := chunkKey(log.Node, log.Boot, max(offset-chunkBytesMax+1, 0))
	end := endOf(bootPrefix(log.Node, log.Boot) + "c/")
	var chunks []Chunk
	size := 0
	err := r.ScanRange(start, end, false, func(key, value []byte) error {
		at, ok := chunkOffset(key)
		if !ok {
			return fmt.Errorf("bloblog: key %q is no chunk", key)
		}
		if c, ok := after(Chunk{at, value}, offset); ok {
			chunks = append(chunks, c)
			size += len(c.Text)
		}
		if size >= readBytesMax {
			return kv.ErrStop
		}
		return nil
	})
	return chunks, err
}

// after cuts away what lies before an offset; ok is false if nothing is left.
func after(c Chunk, offset int64) (rest Chunk, ok bool) {
	if skip := offset - c.Offset; skip > 0 {
		if skip >= int64(len(c.Text)) {
			return Chunk{}, false
		}
		c.Offset, c.Text = offset, c.Text[skip:]
	}
	return c, len(c.Text) > 0
}

// WriteTo writes the text kept from an offset on, with a line in place of what
// was cut.
func (l *Logs) WriteTo(ctx context.Context, w io.Writer, node string, boot uint64, offset int64) error {
	for {
		log, chunks, err := l.ReadAt(ctx, node, boot, offset)
		if err != nil {
			return err
		}
		if len(chunks) == 0 {
			return nil
		}
		boot = log.Boot // stay on it when the next boot begins
		for _, c := range chunks {
			if c.Offset > offset {
				if _, err := fmt.Fprintf(w, "\n[%d bytes cut]\n", c.Offset-offset); err != nil {
					return err
				}
			}
			if _, err := w.Write(c.Text); err != nil {
				return err
			}
			offset = c.Offset + int64(len(c.Text))
		}
	}
}

// Follow calls fn with the text from an offset on, in order and each byte once,
// and then with what is appended, until the log is finished, fn fails or ctx
// ends. Boot 0 is the newest log.
func (l *Logs) Follow(ctx context.Context, node string, boot uint64, offset int64, fn func(Chunk) error) error {
	f := follower{logs: l, node: node, boot: boot, offset: offset, fn: fn}
	for {
		revision, err := f.catchUp(ctx)
		if err != nil || f.closed {
			return err
		}
		err = f.watch(ctx, revision)
		if !errors.Is(err, kv.ErrCompacted) {
			return err
		}
	}
}

// follower is one Follow.
type follower struct {
	logs   *Logs
	node   string
	boot   uint64
	offset int64
	fn     func(Chunk) error
	closed bool
}

// catchUp delivers what is stored and returns the revision it has seen.
func (f *follower) catchUp(ctx context.Context) (kv.Revision, error) {
	for {
		log, chunks, revision, err := f.logs.readAt(ctx, f.node, f.boot, f.offset)
		if err != nil {
			return 0, err
		}
		f.boot = log.Boot
		if len(chunks) == 0 {
			f.closed = log.Closed
			return revision, nil
		}
		if err := f.deliver(chunks); err != nil {
			return 0, err
		}
	}
}

func (f *follower) deliver(chunks []Chunk) error {
	for _, c := range chunks {
		c, ok := after(c, f.offset)
		if !ok {
			continue
		}
		if err := f.fn(c); err != nil {
			return err
		}
		f.offset = c.Offset + int64(len(c.Text))
	}
	return nil
}

// watch delivers what is appended after a revision.
func (f *follower) watch(ctx context.Context, revision kv.Revision) error {
	watcher, err := f.logs.store.Watch(ctx, []byte(bootPrefix(f.node, f.boot)), revision)
	if err != nil {
		return err
	}
	defer watcher.Close()
	for !f.closed {
		events, err := watcher.Next(ctx)
		if err != nil {
			return err
		}
		if err := f.take(events); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) take(events []kv.Event) error {
	var chunks []Chunk
	for _, ev := range events {
		at, isChunk := chunkOffset(ev.Key)
		switch {
		case isChunk && !ev.Deleted:
			chunks = append(chunks, Chunk{at, ev.Value})
		case isChunk:
		case ev.Deleted:
			return fmt.Errorf("%w: node %s, boot %d was dropped", ErrNotFound, f.node, f.boot)
		default:
			log, err := decodeRecord(ev.Value)
			if err != nil {
				return err
			}
			f.closed = log.Closed
		}
	}
	slices.SortStableFunc(chunks, func(a, b Chunk) int { return int(a.Offset - b.Offset) })
	return f.deliver(chunks)
}
