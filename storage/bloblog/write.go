package bloblog

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"hyzer/storage/kv"
)

// Logs is all nodes' boot logs on a store that it does not own.
type Logs struct {
	store  kv.Store
	limits Limits
	now    func() time.Time
}

// New returns the logs on a store. now is the clock; nil is time.Now.
func New(store kv.Store, limits Limits, now func() time.Time) *Logs {
	if now == nil {
		now = time.Now
	}
	return &Logs{store, limits, now}
}

// Begin starts a node's next log and drops the oldest ones over the limit.
func (l *Logs) Begin(ctx context.Context, node string) (boot uint64, err error) {
	_, err = l.store.Update(ctx, func(tx kv.Tx) error {
		log, err := l.begin(tx, node)
		if err != nil {
			return err
		}
		boot = log.Boot
		return writeRecord(tx, log)
	})
	if err != nil {
		return 0, fmt.Errorf("bloblog: node %s: %w", node, err)
	}
	return boot, nil
}

func (l *Logs) begin(tx kv.Tx, node string) (*Log, error) {
	if node == "" || strings.ContainsAny(node, "/\x00") {
		return nil, fmt.Errorf("node name %q", node)
	}
	last, err := newest(tx, node, math.MaxUint64)
	if err != nil {
		return nil, err
	}
	now := l.now().UTC()
	log := &Log{Node: node, Boot: 1, Started: now, Updated: now}
	if last != nil {
		log.Boot = last.Boot + 1
	}
	if keep := uint64(max(l.limits.BootsMax, 1)); log.Boot > keep {
		err = dropRange(tx, []byte(nodePrefix(node)), []byte(bootPrefix(node, log.Boot-keep+1)))
	}
	return log, err
}

func dropRange(tx kv.Tx, start, end []byte) error {
	var keys [][]byte
	err := tx.ScanRange(start, end, false, func(key, _ []byte) error {
		keys = append(keys, key)
		return nil
	})
	for _, key := range keys {
		if err == nil {
			err = tx.Delete(key)
		}
	}
	return err
}

// Append adds text at an offset and returns the offset up to which the log is
// durable. Text that is stored already is skipped. ErrGap, ErrClosed and
// ErrNotFound change nothing.
func (l *Logs) Append(ctx context.Context, node string, boot uint64, offset int64, text []byte) (durable int64, err error) {
	if len(text) > appendBytesMax {
		return 0, fmt.Errorf("bloblog: node %s: %w", node, kv.ErrTooLarge)
	}
	_, err = l.store.Update(ctx, func(tx kv.Tx) error {
		log, err := readRecord(tx, node, boot)
		if err != nil {
			return err
		}
		durable = log.Bytes
		known := log.Bytes - offset // bytes of text that are stored already
		switch {
		case offset < 0 || known < 0:
			return ErrGap
		case known >= int64(len(text)):
			return nil
		case log.Closed:
			return ErrClosed
		}
		if err := l.add(tx, log, text[known:]); err != nil {
			return err
		}
		durable = log.Bytes
		return writeRecord(tx, log)
	})
	if err != nil {
		return durable, fmt.Errorf("bloblog: node %s, boot %d at %d: %w", node, boot, offset, err)
	}
	return durable, nil
}

// add puts text at the end of a log; the caller writes the record.
func (l *Logs) add(tx kv.Tx, log *Log, text []byte) error {
	if size := log.Bytes - log.LastChunk; size > 0 && size+int64(len(text)) <= mergeBytesMax {
		key := chunkKey(log.Node, log.Boot, log.LastChunk)
		last, err := tx.Get(key)
		if err != nil {
			return fmt.Errorf("last chunk: %w", err)
		}
		if err := tx.Put(key, append(last, text...)); err != nil {
			return err
		}
		log.Bytes += int64(len(text))
	} else {
		for len(text) > 0 {
			piece := text[:min(len(text), chunkBytesMax)]
			if err := tx.Put(chunkKey(log.Node, log.Boot, log.Bytes), piece); err != nil {
				return err
			}
			log.LastChunk = log.Bytes
			log.Bytes += int64(len(piece))
			text = text[len(piece):]
		}
	}
	log.Updated = l.now().UTC()
	return l.cut(tx, log)
}

// cut drops whole chunks between head and tail.
func (l *Logs) cut(tx kv.Tx, log *Log) error {
	end := log.Bytes - l.limits.TailBytes
	start := max(log.CutTo, l.limits.HeadBytes)
	if end <= start {
		return nil
	}
	var keys [][]byte
	var from, to int64
	err := tx.ScanRange(chunkKey(log.Node, log.Boot, start), chunkKey(log.Node, log.Boot, end), false, func(key, value []byte) error {
		at, ok := chunkOffset(key)
		if !ok || at+int64(len(value)) > end {
			return kv.ErrStop
		}
		if len(keys) == 0 {
			from = at
		}
		keys, to = append(keys, key), at+int64(len(value))
		return nil
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	for _, key := range keys {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	if log.CutTo == 0 {
		log.CutFrom = from
	}
	log.CutTo = to
	return nil
}

// Close marks a log as finished. Closing twice is no error.
func (l *Logs) Close(ctx context.Context, node string, boot uint64) error {
	_, err := l.store.Update(ctx, func(tx kv.Tx) error {
		log, err := readRecord(tx, node, boot)
		if err != nil || log.Closed {
			return err
		}
		log.Closed = true
		return writeRecord(tx, log)
	})
	return err
}

// storeBytes is how much Store makes durable at a time. Most logs are smaller
// and cost one transaction.
const storeBytes = 256 << 10

// Store reads a whole log and keeps it as the node's newest, without the white
// space it begins with; of nothing else no log is made. What was read before
// text failed is kept, and the failure returned.
func (l *Logs) Store(ctx context.Context, node string, text io.Reader) error {
	buf := make([]byte, storeBytes)
	var log *Log
	for {
		n, readErr := io.ReadFull(text, buf)
		piece := buf[:n]
		if log == nil {
			piece = bytes.TrimLeft(piece, " \t\n\v\f\r")
		}
		if log != nil || len(piece) > 0 {
			var err error
			if log, err = l.storePiece(ctx, node, log, piece, readErr != nil); err != nil {
				return err
			}
		}
		switch readErr {
		case nil:
			continue
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		}
		return fmt.Errorf("bloblog: node %s: log broke off: %w", node, readErr)
	}
}

// storePiece appends to a log, of which nil is the one to begin.
func (l *Logs) storePiece(ctx context.Context, node string, was *Log, piece []byte, last bool) (log *Log, err error) {
	_, err = l.store.Update(ctx, func(tx kv.Tx) (err error) {
		if was == nil {
			log, err = l.begin(tx, node)
		} else {
			log, err = readRecord(tx, node, was.Boot)
		}
		if err == nil && len(piece) > 0 {
			err = l.add(tx, log, piece)
		}
		if err != nil {
			return err
		}
		log.Closed = last
		return writeRecord(tx, log)
	})
	if err != nil {
		return nil, fmt.Errorf("bloblog: node %s: %w", node, err)
	}
	return log, nil
}
