package master

import (
	"errors"
	"fmt"
	"io"

	"hyzer/multicast/wire"
)

// untilMark is a stream without the end mark that it must have. One that ends
// otherwise was cut, be it between two chunks of its image.
type untilMark struct {
	from io.Reader
	buf  []byte // what has come and was not handed on: the mark, maybe
	n    int64  // bytes handed on
	end  error  // of from
}

func newUntilMark(from io.Reader) *untilMark {
	return &untilMark{from: from, buf: make([]byte, 0, uploadBufferBytes)}
}

// Read returns io.EOF where the mark is, and an error that wraps errCut if the
// stream ends without it.
func (u *untilMark) Read(p []byte) (int, error) {
	for len(u.buf) <= wire.EndMarkBytes && u.end == nil {
		var n int
		n, u.end = u.from.Read(u.buf[len(u.buf):cap(u.buf)])
		u.buf = u.buf[:len(u.buf)+n]
	}
	if ready := len(u.buf) - wire.EndMarkBytes; ready > 0 {
		n := copy(p, u.buf[:ready])
		u.buf = u.buf[:copy(u.buf, u.buf[n:])]
		u.n += int64(n)
		return n, nil
	}
	switch {
	case !errors.Is(u.end, io.EOF):
		return 0, u.end
	case !wire.IsEndMark(u.buf, u.n):
		return 0, fmt.Errorf("%w: after %d bytes, without the mark that its uploader ends it with", errCut, u.n+int64(len(u.buf)))
	}
	return 0, io.EOF
}
