package tmcd

import (
	"net"
	"sync"
	"time"

	"hyzer/netsvc/tmc2"
)

// framedOut collects frames and writes them. The reader of the connection
// writes when it has answered all that it has read; lanes write at once. A
// client that does not take its answers stops both, until it fails.
type framedOut struct {
	conn    net.Conn
	timeout time.Duration

	writing sync.Mutex // held while writing, which mu never is

	mu  sync.Mutex
	buf []byte
	err error
}

func (o *framedOut) frame(f tmc2.Frame) {
	o.message(f.Type, f.Flags, f.Stream, func(b []byte) []byte { return append(b, f.Payload...) })
}

// message appends one frame, whose payload fill appends.
func (o *framedOut) message(t tmc2.Type, flags tmc2.Flags, stream uint32, fill func([]byte) []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	b, at := tmc2.StartFrame(o.buf, t, flags, stream)
	o.buf = tmc2.FinishFrame(fill(b), at)
}

// answer appends a reply and the STATUS that ends its stream.
func (o *framedOut) answer(stream uint32, reply []byte, status *tmc2.Status, payloadMax int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(reply) > 0 {
		n, flags := min(len(reply), payloadMax), tmc2.Flags(0)
		if n < len(reply) {
			flags = tmc2.FlagMore
		}
		o.buf = tmc2.AppendFrame(o.buf, tmc2.Frame{Type: tmc2.TypeReply, Flags: flags, Stream: stream, Payload: reply[:n]})
		reply = reply[n:]
	}
	b, at := tmc2.StartFrame(o.buf, tmc2.TypeStatus, tmc2.FlagEnd, stream)
	o.buf = tmc2.FinishFrame(tmc2.AppendStatus(b, status), at)
}

func (o *framedOut) size() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf)
}

// flush writes what is collected. After a failed write the connection is
// closed, so that its reader ends too.
func (o *framedOut) flush() error {
	o.writing.Lock()
	defer o.writing.Unlock()
	b, err := o.take()
	if err != nil || len(b) == 0 {
		return err
	}
	if err = o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err == nil {
		_, err = o.conn.Write(b)
	}
	if err != nil {
		o.conn.Close()
	}
	o.took(b, err)
	return err
}

// take is what is to be written. What comes meanwhile is collected in another
// buffer.
func (o *framedOut) take() ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil || len(o.buf) == 0 {
		return nil, o.err
	}
	b := o.buf
	o.buf = nil
	return b, nil
}

// took says how writing it went. The buffer is used again unless it is large.
func (o *framedOut) took(b []byte, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = err
	if o.buf == nil && cap(b) <= framedBufferBytes {
		o.buf = b[:0]
	}
}

// release frees the buffer if nothing is in it.
func (o *framedOut) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.buf) == 0 {
		o.buf = nil
	}
}
