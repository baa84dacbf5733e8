package framed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/tmc2"
)

// wire is a datagram connection in memory. Each datagram that is written goes to
// server, which says what comes back and when.
type wire struct {
	server func(n int, sent []byte) []reply // n counts datagrams from 0
	begin  time.Time

	mu       sync.Mutex
	sent     []string // when what was written
	arrived  chan []byte
	deadline time.Time
	closed   chan struct{}
	once     sync.Once
}

// reply is a datagram that arrives after a while.
type reply struct {
	after time.Duration
	data  []byte
}

func newWire(server func(n int, sent []byte) []reply) *wire {
	return &wire{server: server, begin: time.Now(), arrived: make(chan []byte, 64), closed: make(chan struct{})}
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what := "text"
	if isFramed(b) {
		what = "framed"
	}
	w.sent = append(w.sent, fmt.Sprintf("%s at %v", what, time.Since(w.begin)))
	for _, r := range w.server(len(w.sent)-1, b) {
		time.AfterFunc(r.after, func() {
			select {
			case w.arrived <- r.data:
			case <-w.closed:
			}
		})
	}
	return len(b), nil
}

func (w *wire) Read(b []byte) (int, error) {
	w.mu.Lock()
	left := time.Until(w.deadline)
	w.mu.Unlock()
	if left <= 0 {
		return 0, os.ErrDeadlineExceeded
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case data := <-w.arrived:
		return copy(b, data), nil
	case <-timer.C:
		return 0, os.ErrDeadlineExceeded
	case <-w.closed:
		return 0, net.ErrClosed
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *wire) SetReadDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return nil
}

func (w *wire) LocalAddr() net.Addr              { return nil }
func (w *wire) RemoteAddr() net.Addr             { return nil }
func (w *wire) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (w *wire) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// answering makes answers to a request.
type answering struct{ id uint32 }

func (a answering) fragment(code tmc2.Code, n, of int, text string) []byte {
	return tmc2.AppendDatagram(nil, &tmc2.Datagram{Flags: tmc2.FlagAnswer, Fragment: uint16(n), Fragments: uint16(of), ID: a.id, Code: code, Payload: []byte(text)})
}

func (a answering) whole(text string) []byte { return a.fragment(tmc2.CodeOK, 0, 1, text) }

// TestDatagrams loses, delays, repeats and reorders what goes and comes, in
// virtual time.
func TestDatagrams(t *testing.T) {
	t.Parallel()
	after := func(d time.Duration, data ...[]byte) (out []reply) {
		for i, b := range data {
			out = append(out, reply{d + time.Duration(i)*time.Millisecond, b})
		}
		return out
	}
	const ms = time.Millisecond
	for _, tc := range []struct {
		name   string
		text   bool
		server func(n int, a answering) []reply
		want   string // "code reply", or the error
		sent   string
		took   time.Duration
	}{
		{"at once", true, func(_ int, a answering) []reply { return after(ms, a.whole("x")) }, "0 x", "framed at 0s", ms},
		{"the request is lost twice", false, func(n int, a answering) []reply {
			if n < 2 {
				return nil
			}
			return after(ms, a.whole("x"))
		}, "0 x", "framed at 0s; framed at 1s; framed at 3s", 3*time.Second + ms},
		{"the answer is late and comes twice", false, func(n int, a answering) []reply { return after(1500*ms, a.whole(fmt.Sprint("x", n))) }, "0 x0", "framed at 0s; framed at 1s", 1500 * ms},
		{"nobody is there", false, func(int, answering) []reply { return nil }, ErrNoAnswer.Error(),
			"framed at 0s; framed at 1s; framed at 3s; framed at 7s", 11 * time.Second},
		{"nobody is there, who might speak in text", true, func(int, answering) []reply { return nil }, ErrNoAnswer.Error(),
			"framed at 0s; framed at 1s; text at 1s; framed at 3s; framed at 7s", 11 * time.Second},
		{"fragments in any order, twice", false, func(_ int, a answering) []reply {
			c, b, d := a.fragment(0, 2, 3, "c"), a.fragment(0, 1, 3, "b"), a.fragment(0, 0, 3, "a")
			return after(ms, c, c, b, c, b, d, d)
		}, "0 abc", "framed at 0s", 6 * ms},
		{"a fragment is lost and comes with the next try", false, func(n int, a answering) []reply {
			if n == 0 {
				return after(ms, a.fragment(0, 0, 2, "a"))
			}
			return after(ms, a.fragment(0, 1, 2, "b"))
		}, "0 ab", "framed at 0s; framed at 1s", time.Second + ms},
		{"fragments of another answer begin anew", false, func(n int, a answering) []reply {
			if n == 0 {
				return after(ms, a.fragment(0, 0, 2, "old"))
			}
			return after(ms, a.fragment(0, 1, 3, "b"), a.fragment(0, 2, 3, "c"), a.fragment(0, 0, 3, "new"))
		}, "0 newbc", "framed at 0s; framed at 1s", time.Second + 3*ms},
		{"what is none of its own", false, func(_ int, a answering) []reply {
			return after(ms, []byte("text"), nil, answering{a.id + 1}.whole("another's"), a.whole("x")[:10],
				tmc2.AppendDatagram(nil, &tmc2.Datagram{Fragments: 1, ID: a.id}), a.whole("x"))
		}, "0 x", "framed at 0s", 6 * ms},
		{"use TCP", false, func(_ int, a answering) []reply { return after(ms, a.fragment(tmc2.CodeUseTCP, 0, 1, "")) }, "15 ", "framed at 0s", ms},
		{"empty", false, func(_ int, a answering) []reply { return after(ms, a.fragment(tmc2.CodeEmpty, 0, 1, "")) }, "1 ", "framed at 0s", ms},
		{"a server that speaks in text", true, func(n int, _ answering) []reply {
			if n != 2 {
				return nil
			}
			return after(ms, []byte("FREE\n"))
		}, "FREE\n " + ErrLegacy.Error(), "framed at 0s; framed at 1s; text at 1s", time.Second + ms},
		{"cancelled", false, func(int, answering) []reply { return nil }, "enough", "framed at 0s; framed at 1s; framed at 3s", 5 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				x := datagramExchange{}
				if err := x.encode(&tmc2.Request{Command: []byte("status")}); err != nil {
					t.Fatal(err)
				}
				if tc.text {
					x.text = []byte("VERSION=44 status ")
				}
				w := newWire(func(n int, sent []byte) []reply {
					if d, err := tmc2.DecodeDatagram(sent); isFramed(sent) && (err != nil || d.ID != x.id || d.Fragments != 1) {
						t.Errorf("sent %x: %+v, %v", sent, d, err)
					}
					return tc.server(n, answering{x.id})
				})
				x.conn = w
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if tc.name == "cancelled" {
					time.AfterFunc(5*time.Second, func() { cancel(errors.New("enough")) })
				}
				reply, status, err := x.run(ctx)
				got := fmt.Sprintf("%d %s", status.Code, reply)
				switch {
				case errors.Is(err, ErrLegacy):
					got = string(reply) + " " + err.Error()
				case errors.Is(err, ErrNoAnswer):
					got = ErrNoAnswer.Error()
				case err != nil:
					got = err.Error()
				}
				if sent := strings.Join(w.sent, "; "); got != tc.want || sent != tc.sent {
					t.Errorf("%q, sent %s\nwant %q, sent %s", got, sent, tc.want, tc.sent)
				}
				if took := time.Since(w.begin); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
				w.Close()
			})
		})
	}
}

// TestDatagramTooLong is refused before anything is sent.
func TestDatagramTooLong(t *testing.T) {
	t.Parallel()
	_, _, err := (&Datagrams{}).Do(t.Context(), "hostkeys", []string{strings.Repeat("x", tmc2.FragmentBytesMax)})
	if !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

// TestDatagramAnswerIsBounded: no sequence of datagrams makes an answer larger
// than its fragments.
func TestDatagramAnswerIsBounded(t *testing.T) {
	t.Parallel()
	x := datagramExchange{id: 7}
	a, piece := answering{7}, strings.Repeat("x", tmc2.FragmentBytesMax)
	for i := range 1000 {
		x.take(a.fragment(tmc2.CodeOK, i%tmc2.FragmentsMax, tmc2.FragmentsMax, piece))
	}
	if got := len(x.reply()); got != tmc2.FragmentsMax*tmc2.FragmentBytesMax {
		t.Errorf("%d bytes", got)
	}
}
