package tftp

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"
)

// TestIdleShardSleeps: when the last session is forgotten the shard waits for
// packets, it does not spin on a deadline that has passed.
func TestIdleShardSleeps(t *testing.T) {
	t.Parallel()
	client := newRawClient(t, "127.0.0.1:0")
	s := New(Config{Log: slog.New(slog.DiscardHandler)})
	main, err := newSocket(newRawClient(t, "127.0.0.1:0").conn)
	if err != nil {
		t.Fatal(err)
	}
	h, err := s.openShard(main)
	if err != nil {
		t.Fatal(err)
	}
	defer h.socket.Close()
	session := &session{client: netip.MustParseAddrPort("127.0.0.1:1"), over: true, index: -1}
	h.locked(func(now time.Time) {
		h.sessions[session.client] = session
		h.wake(session, now) // its linger time is over
	})
	if _, err := h.in.read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the timer did not run out: %v", err)
	}
	h.turn(0, true)
	if len(h.sessions) != 0 || len(h.timers) != 0 {
		t.Errorf("%d sessions, %d timers left", len(h.sessions), len(h.timers))
	}
	client.send(unmap(localAddr(h.socket)), ack(1))
	if n, err := h.in.read(); n != 1 || err != nil {
		t.Errorf("the next read: %d packets, %v", n, err)
	}
}
