package master_test

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/master"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// TestUnicastOfTwoNodes: two nodes that ask for one image by unicast each have
// a session of their own, at its own port. When one is loaded and leaves, its
// session ends, and that of the other, which still lacks most of the image,
// goes on.
func TestUnicastOfTwoNodes(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]int{"the first leaves": 0, "the second leaves": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			twoByUnicast(t, first)
		})
	}
}

// twoByUnicast loads two nodes; the other waits at its first chunk until the
// session of the first to leave is over.
func twoByUnicast(t *testing.T, first int) {
	dir := t.TempDir()
	want := bytes.Repeat([]byte("0123456789abcdef!"), 300_000)
	writeImage(t, dir, "a.img", want, 1234567)
	sessions := master.NewSessions(master.SessionsConfig{
		Iface: localhost, ShareHost: true, Log: quiet, Mode2: true,
		Linger: server.LingerLastClient, Pace: server.Pace{BitsPerSec: 400_000_000},
	})
	t.Cleanup(sessions.Close)
	at := start(t, dirCatalog{dir}, sessions)
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	var answers [2]master.Answer
	for n := range answers {
		from := netip.AddrFrom4([4]byte{127, 9, 2, byte(n) + 1})
		var err error
		answers[n], err = master.Get(ctx, master.Query{Server: at, From: from, Request: wire.GetRequest{Methods: wire.Unicast, ImageID: "a.img"}})
		if err != nil || answers[n].Method != wire.Unicast || answers[n].Addr != localhost {
			t.Fatalf("node %d: %+v, %v", n, answers[n], err)
		}
	}
	if list := sessions.List(); answers[0].Port == answers[1].Port || len(list) != 2 {
		t.Fatalf("ports %d and %d, %d sessions", answers[0].Port, answers[1].Port, len(list))
	}
	begun, over := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		defer close(over)
		loadByUnicast(ctx, t, answers[first], want, func() { wait(ctx, begun) })
		for ctx.Err() == nil && len(sessions.List()) != 1 {
			wait(ctx, time.After(10*time.Millisecond))
		}
	})
	all.Go(func() {
		loadByUnicast(ctx, t, answers[1-first], want, func() { close(begun); wait(ctx, over) })
	})
	all.Wait()
	if ctx.Err() != nil {
		t.Errorf("sessions: %+v", sessions.List())
	}
}

// wait returns when c has something, or ctx ends.
func wait[T any](ctx context.Context, c <-chan T) {
	select {
	case <-c:
	case <-ctx.Done():
	}
}

// loadByUnicast loads with room for one chunk, so that the rest is asked for
// after begun, which is called once the first has come.
func loadByUnicast(ctx context.Context, t *testing.T, at master.Answer, want []byte, begun func()) {
	var m memory
	var once sync.Once
	_, err := client.Run(ctx, client.Config{
		Address: netip.AddrPortFrom(at.Addr, at.Port), Server: at.Server, Iface: at.Local, ShareHost: true, Raw: true, Mode2: true,
		Buffers: 1, Log: quiet, JoinTimeout: testTimeout, IdleTimeout: testTimeout,
		Sink: sinkFunc(func(ctx context.Context, index int, data []byte) error {
			once.Do(begun)
			return client.RawSink{W: &m}.Chunk(ctx, index, data)
		}),
	})
	if err != nil || !bytes.Equal(m.data, want) {
		t.Errorf("load from port %d: %v, content equal %v", at.Port, err, bytes.Equal(m.data, want))
	}
}
