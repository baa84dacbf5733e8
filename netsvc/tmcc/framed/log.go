package framed

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"hyzer/netsvc/tmc2"
)

const (
	// spoolHeadBytes is what is kept of text that the server has not made
	// durable before the middle is dropped.
	spoolHeadBytes = 256 << 10
	// spoolTailBytes is what is kept of the text after that.
	spoolTailBytes = 1 << 20
	logRetryMax    = 30 * time.Second
)

// ErrLogClosed is returned by a LogWriter that was closed.
var ErrLogClosed = errors.New("tmc2: log is closed")

// LogWriter sends a boot log while it grows. Write never waits for the server:
// what that has not made durable is kept in memory, of too much the head and
// the tail with the number of bytes cut between them.
type LogWriter struct {
	client *Client
	cancel context.CancelFunc
	wake   chan struct{} // holds one
	work   sync.WaitGroup

	// Of run alone.
	id   uint64 // of the request that begins the log
	boot string // the log's number, once known
	sent int64  // offset up to which this connection was given text

	mu     sync.Mutex
	base   int64  // offset up to which the server has the log durable
	head   []byte // text from base on
	tail   []byte // text after head and cut
	cut    int64  // bytes between them that were dropped
	ended  bool   // Close was called
	result error  // why the log ended; nil while it goes on
	done   chan struct{}
	moved  chan struct{} // closed and made anew when base moves
}

// NewLog begins the boot's log. The writer belongs to the caller, who closes
// it.
func (c *Client) NewLog() *LogWriter {
	ctx, cancel := context.WithCancel(context.Background())
	w := &LogWriter{client: c, cancel: cancel, wake: make(chan struct{}, 1), id: c.newID(), done: make(chan struct{}), moved: make(chan struct{})}
	w.work.Go(func() { w.run(ctx) })
	return w
}

// Write implements io.Writer. It takes all of p.
func (w *LogWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return 0, ErrLogClosed
	}
	if len(w.tail) == 0 && w.cut == 0 && len(w.head)+len(p) <= spoolHeadBytes {
		w.head = append(w.head, p...)
	} else {
		w.tail = append(w.tail, p...)
		if over := len(w.tail) - spoolTailBytes; over > 0 {
			w.tail, w.cut = w.tail[over:], w.cut+int64(over) // append moves it now and then
		}
	}
	w.poke()
	return len(p), nil
}

func (w *LogWriter) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Flush returns when all that was written is durable, or at the end of ctx.
func (w *LogWriter) Flush(ctx context.Context) error {
	for {
		w.mu.Lock()
		left, moved := len(w.head)+len(w.tail), w.moved
		w.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-moved:
		case <-w.done:
			return w.result
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close ends the log when all of it is durable, or gives up at the end of ctx;
// then the log stays open on the server.
func (w *LogWriter) Close(ctx context.Context) error {
	w.mu.Lock()
	w.ended = true
	w.poke()
	w.mu.Unlock()
	var err error
	select {
	case <-w.done:
		err = w.result
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	w.cancel()
	w.work.Wait()
	return err
}

// run keeps a stream open until the log is finished.
func (w *LogWriter) run(ctx context.Context) {
	defer close(w.done)
	for pause := w.client.retryPause(); ; pause = min(2*pause, logRetryMax) {
		before := w.durable()
		over, err := w.stream(ctx)
		if over || ctx.Err() != nil || errors.Is(err, ErrLegacy) {
			w.result = err
			return
		}
		if w.durable() > before {
			pause = w.client.retryPause()
		}
		if w.result = sleep(ctx, pause); w.result != nil {
			return
		}
	}
}

func (w *LogWriter) durable() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.base
}

// stream sends on one connection. over says that the log has ended.
func (w *LogWriter) stream(ctx context.Context) (over bool, err error) {
	conn, err := w.client.connect(ctx)
	if err != nil {
		return false, err
	}
	r := w.client.request("bootlog-stream", nil)
	if r.ID = w.id; w.boot != "" {
		r.ID, r.Args = w.client.newID(), [][]byte{[]byte(w.boot)}
	}
	k, err := w.client.open(conn, r, 0)
	if err != nil {
		return false, err
	}
	defer k.abandon()
	for opened, ended := false, false; ; {
		reply, status, position, err := k.state()
		switch {
		case err != nil:
			return false, err
		case status != nil:
			return w.answered(r, status, ended)
		case !opened && len(reply) > 0:
			if opened, err = w.opened(reply); err != nil {
				return false, err
			}
		}
		if opened {
			w.acknowledged(int64(position))
			if ended, err = w.send(k, ended); err != nil {
				return false, err
			}
		}
		select {
		case <-k.changed:
		case <-w.wake:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// answered takes the status that ends a stream. A log that the server no longer
// takes is gone on with in a new one.
func (w *LogWriter) answered(r *tmc2.Request, status *tmc2.Status, ended bool) (over bool, err error) {
	switch {
	case w.client.shows(r, status.Code):
		return false, nil
	case status.Code.Good() && ended:
		return true, nil
	case status.Code == tmc2.CodeLogClosed || status.Code == tmc2.CodeLogGap || status.Code == tmc2.CodeBadArgument:
		w.anew()
		return false, nil
	case status.Code >= tmc2.CodeBusy:
		return false, fmt.Errorf("tmc2: log not stored: %v", status.Code)
	}
	return true, fmt.Errorf("tmc2: log refused: %v", status.Code)
}

// anew begins a new log with the text that is not durable in the old one.
func (w *LogWriter) anew() {
	w.mu.Lock()
	w.base = 0
	w.mu.Unlock()
	w.id, w.boot, w.sent = w.client.newID(), "", 0
}

// opened reads "BOOT=7 OFFSET=100\n", where the server has the log.
func (w *LogWriter) opened(reply []byte) (bool, error) {
	var boot uint64
	var offset int64
	if _, err := fmt.Sscanf(string(reply), "BOOT=%d OFFSET=%d\n", &boot, &offset); err != nil {
		return false, fmt.Errorf("tmc2: log: %w", err)
	}
	w.mu.Lock()
	known := offset >= w.base && offset <= w.base+int64(len(w.head))
	w.mu.Unlock()
	if !known { // somebody else's text, or ours is lost
		w.anew()
		return false, fmt.Errorf("tmc2: log %d ends at %d", boot, offset)
	}
	w.boot, w.sent = strconv.FormatUint(boot, 10), offset
	w.acknowledged(offset)
	return true, nil
}

// acknowledged drops what is durable. When the head is, the tail takes its
// place, after a line for what was cut before it.
func (w *LogWriter) acknowledged(durable int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := durable - w.base
	if n > int64(len(w.head)) || n < 0 || durable > w.sent {
		return
	}
	w.head, w.base = w.head[n:], durable
	if len(w.head) == 0 && len(w.tail) > 0 {
		w.head = nil
		if w.cut > 0 {
			w.head = fmt.Appendf(nil, "\n[%d bytes cut]\n", w.cut)
		}
		w.head = append(w.head, w.tail...)
		w.tail, w.cut = nil, 0
	}
	if n > 0 {
		close(w.moved)
		w.moved = make(chan struct{})
	}
}

// send gives the server what it has room for, and the end of the log after the
// last of it.
func (w *LogWriter) send(k *call, ended bool) (bool, error) {
	for !ended {
		w.mu.Lock()
		text := w.head[w.sent-w.base:]
		room := w.base + int64(k.conn.peer.WindowBytes) - w.sent
		piece := append([]byte(nil), text[:min(len(text), pieceBytes, int(room))]...)
		ended = w.ended && len(piece) == len(text) && len(w.tail) == 0
		w.mu.Unlock()
		if len(piece) == 0 && !ended {
			return false, nil
		}
		flags := tmc2.Flags(0)
		if ended {
			flags = tmc2.FlagEnd
		}
		chunk := tmc2.LogChunk{Offset: uint64(w.sent), Text: piece}
		if err := k.data(flags, func(b []byte) []byte { return tmc2.AppendLogChunk(b, chunk) }); err != nil {
			return false, err
		}
		w.sent += int64(len(piece))
	}
	return ended, nil
}
