package tmcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"hyzer/netsvc/tmc2"
	"hyzer/storage/bloblog"
)

// commandLiveLog opens a live boot log. It is known to the framed protocol
// alone, and allowed to those who may use bootlog.
const commandLiveLog = "bootlog-stream"

// LiveLogs stores boot logs while they grow (storage/bloblog).
type LiveLogs interface {
	Begin(ctx context.Context, node string) (boot uint64, err error)
	Get(ctx context.Context, node string, boot uint64) (*bloblog.Log, error)
	Append(ctx context.Context, node string, boot uint64, offset int64, text []byte) (durable int64, err error)
	Close(ctx context.Context, node string, boot uint64) error
}

// LiveLogs are the recorder's logs, if they can grow; else nil.
func (r *Recorder) LiveLogs() LiveLogs {
	logs, _ := r.Logs.(LiveLogs)
	return logs
}

// liveStream is an open live log. The reader of the connection adds to what is
// pending; the node's lane appends it to the store.
type liveStream struct {
	st   *stream
	logs LiveLogs

	// Of the lane alone.
	boot    uint64
	durable int64
	dead    bool // answered: what still comes is thrown away

	mu        sync.Mutex
	pending   []byte
	at        int64 // offset of pending
	cost      int   // of chunks that are not durable
	scheduled bool
	ended     bool
}

// openLog takes the request for a live log.
func (c *framedConn) openLog(f tmc2.Frame) error {
	adm := c.admitWord(&c.request, []byte("bootlog"))
	switch {
	case adm.Refused != "":
		c.refuseAdmission(f.Stream, &c.request, &adm)
		return nil
	case c.s.framed.logs == nil:
		c.refuse(f.Stream, tmc2.CodeUnknownCommand)
		return nil
	}
	st := c.keep(f, adm.Node)
	if st == nil {
		return nil
	}
	st.log = &liveStream{st: st, logs: c.s.framed.logs, ended: st.whole, scheduled: true}
	c.enqueue(st.node, func() { st.log.begin(c.key(&st.request, adm.Node)) })
	return nil
}

// begin finds the log, or begins one, and says where to go on.
func (l *liveStream) begin(key answerKey) {
	reply, code := l.st.conn.s.once(key, l.find)
	if code == tmc2.CodeOK {
		code = l.position(reply)
	}
	if code != tmc2.CodeOK {
		l.over(code)
		return
	}
	text := fmt.Appendf(nil, "BOOT=%d OFFSET=%d\n", l.boot, l.durable)
	l.st.conn.out.frame(tmc2.Frame{Type: tmc2.TypeReply, Stream: l.st.id, Payload: text})
	l.acknowledge()
	l.store()
}

// find returns the number of the log: the argument, or of a new log.
func (l *liveStream) find() (reply []byte, code tmc2.Code, keep bool) {
	if args := l.st.request.Args; len(args) > 0 {
		return args[0], tmc2.CodeOK, false
	}
	ctx, cancel := l.context()
	defer cancel()
	boot, err := l.logs.Begin(ctx, l.st.node)
	if err != nil {
		return nil, l.failed(err), false
	}
	return strconv.AppendUint(nil, boot, 10), tmc2.CodeOK, true
}

func (l *liveStream) position(number []byte) tmc2.Code {
	boot, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil || boot == 0 {
		return tmc2.CodeBadArgument
	}
	ctx, cancel := l.context()
	defer cancel()
	log, err := l.logs.Get(ctx, l.st.node, boot)
	if err != nil {
		return l.failed(err)
	}
	l.boot, l.durable = boot, log.Bytes
	return tmc2.CodeOK
}

func (l *liveStream) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), l.st.conn.s.cfg.Timeouts.Effects)
}

func (l *liveStream) acknowledge() { l.st.conn.window(l.st.id, uint64(l.durable)) }

// take adds a chunk. Chunks follow each other without a gap; what overlaps is
// the sender's repetition and is skipped by the store.
func (l *liveStream) take(payload []byte, last bool) error {
	chunk, err := tmc2.DecodeLogChunk(payload)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cost += len(chunk.Text) + framedChunkCost; l.cost > 2*framedWindowBytes {
		return protocolError("live log of stream %d is over its window", l.st.id)
	}
	offset := int64(chunk.Offset)
	if len(l.pending) == 0 {
		l.at = offset
	}
	if offset != l.at+int64(len(l.pending)) {
		return protocolError("chunk of stream %d at %d, want %d", l.st.id, offset, l.at+int64(len(l.pending)))
	}
	l.pending = append(l.pending, chunk.Text...)
	l.ended = last
	if !l.scheduled {
		l.scheduled = true
		l.st.conn.enqueue(l.st.node, l.store)
	}
	return nil
}

// store makes durable what is pending and acknowledges it.
func (l *liveStream) store() {
	l.mu.Lock()
	text, at, ended := l.pending, l.at, l.ended
	l.pending, l.cost, l.scheduled = nil, 0, false
	l.mu.Unlock()
	if l.dead {
		return
	}
	if code := l.append(at, text); code != tmc2.CodeOK {
		l.over(code)
		return
	}
	if ended {
		l.finish()
	}
}

func (l *liveStream) append(at int64, text []byte) tmc2.Code {
	if len(text) == 0 {
		return tmc2.CodeOK
	}
	ctx, cancel := l.context()
	defer cancel()
	durable, err := l.logs.Append(ctx, l.st.node, l.boot, at, text)
	if durable > l.durable {
		l.durable = durable
	}
	if err == nil || errors.Is(err, bloblog.ErrGap) {
		l.acknowledge()
	}
	if err != nil {
		return l.failed(err)
	}
	return tmc2.CodeOK
}

func (l *liveStream) finish() {
	ctx, cancel := l.context()
	defer cancel()
	code := tmc2.CodeEmpty
	if err := l.logs.Close(ctx, l.st.node, l.boot); err != nil {
		code = l.failed(err)
	}
	l.over(code)
}

func (l *liveStream) failed(err error) tmc2.Code {
	s := l.st.conn.s
	switch {
	case errors.Is(err, bloblog.ErrGap):
		return tmc2.CodeLogGap
	case errors.Is(err, bloblog.ErrClosed), errors.Is(err, bloblog.ErrNotFound):
		return tmc2.CodeLogClosed
	}
	s.counts.EffectsFailed.Add(1)
	s.cfg.Log.Warn("live boot log not stored", "service", "tmcd", "node", l.st.node, "error", err)
	if errors.Is(err, context.DeadlineExceeded) {
		return tmc2.CodeTimeout
	}
	return tmc2.CodeBackend
}

// over ends the stream.
func (l *liveStream) over(code tmc2.Code) {
	if !l.dead {
		l.dead = true
		l.st.conn.refuse(l.st.id, code)
	}
}
