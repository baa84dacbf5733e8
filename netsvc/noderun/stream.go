package noderun

import (
	"context"
	"io"
	"time"

	"hyzer/netsvc/tmcc"
	"hyzer/netsvc/tmcc/framed"
)

// LogStream sends a log while it grows. Write does not wait for the appliance.
type LogStream interface {
	io.Writer
	// Close returns when all of the log is durable there, or why it is not.
	Close(ctx context.Context) error
}

// Streamer is a Boss that takes logs while they grow.
type Streamer interface {
	// Stream begins a log of this boot, or says why it has to be sent whole
	// afterwards.
	Stream(ctx context.Context, vnode string) (LogStream, error)
}

// streamWithin bounds what finding the appliance for a stream may take.
const streamWithin = 5 * time.Second

// Stream implements Streamer. Old servers and proxies take whole logs only.
func (b client) Stream(ctx context.Context, vnode string) (LogStream, error) {
	ctx, cancel := context.WithTimeout(ctx, streamWithin)
	defer cancel()
	c, err := tmcc.Framed(ctx, b.args(Call{VNode: vnode, Words: []string{"bootlog"}}), b.env)
	if err != nil {
		return nil, err
	}
	return &liveLog{c.NewLog(), c}, nil
}

// liveLog is a log with the connection that it alone uses.
type liveLog struct {
	*framed.LogWriter
	client *framed.Client
}

// Close implements LogStream.
func (l *liveLog) Close(ctx context.Context) error {
	err := l.LogWriter.Close(ctx)
	_ = l.client.Close()
	return err
}

// stream begins to send a course's log, if both sides can; else nil.
func (s *settings) stream(ctx context.Context, c course) LogStream {
	streamer, ok := s.boss.(Streamer)
	if !ok || !c.stream {
		return nil
	}
	log, err := streamer.Stream(ctx, c.vnode)
	if err != nil {
		return nil // it is sent whole
	}
	return log
}

// finish ends a stream. If the appliance does not have all of the log by then,
// it is to be sent whole.
func finish(ctx context.Context, log LogStream) (sent bool) {
	if log == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	return log.Close(ctx) == nil
}
