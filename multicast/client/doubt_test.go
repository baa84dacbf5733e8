package client_test

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/wire"
)

// TestSiteForgedReplies: without a key a stranger says in the server's name
// that another file is sent, once or all the time, as an old server or one of
// mode 2. Every load goes on to its end. (That the server itself is believed
// is in TestSiteClientErrors and TestSiteMode2Restart.)
func TestSiteForgedReplies(t *testing.T) {
	t.Parallel()
	src := simServer.As4()
	grant := wire.Grant{Version: wire.Version{ImageID: 99, Epoch: 5}, ParityPort: 9, Code: wire.CodeCauchy, ParityBlocks: 256}
	const imageBytes = 5 << 20
	replies := map[string][]byte{
		"another size":    wire.NewJoin2Reply(7, 5).Append(nil, wire.Reply, src),
		"another, V1":     wire.Join{Value: 5}.Append(nil, wire.Reply, src),
		"empty":           wire.NewJoin2Reply(7, 0).Append(nil, wire.Reply, src),
		"too large":       wire.NewJoin2Reply(7, -1).Append(nil, wire.Reply, src),
		"another version": wire.AppendGrant(wire.NewJoin2Reply(7, imageBytes).Append(nil, wire.Reply, src), grant),
	}
	for name, reply := range replies {
		for _, mode2 := range []bool{false, true} {
			for _, every := range []time.Duration{time.Millisecond, time.Hour} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) { injectReplies(t, imageBytes, reply, mode2, every) })
				})
			}
		}
	}
}

// injectReplies has two clients load while reply comes that often.
func injectReplies(t *testing.T, imageBytes int, reply []byte, mode2 bool, every time.Duration) {
	s := newSite(t, imageBytes)
	ctx, cancel := context.WithCancel(s.ctx)
	cfg := s.serverConfig()
	if mode2 {
		cfg = s.mode2Server(4001)
	}
	cfg.Pace.BitsPerSec = 25_000_000 // longer than a doubt may last
	_, result := s.serve(ctx, cfg)
	done := make(chan struct{})
	s.all.Go(func() {
		for wait := 100 * time.Millisecond; ; wait = every { // virtual: in mid-load
			select {
			case <-done:
				return
			case <-time.After(wait):
				s.net.Inject(netip.AddrPortFrom(simServer, simSession.Port()), simSession, reply)
			}
		}
	})
	failed := make(chan error)
	for n := range 2 {
		var m memory
		cfg := s.clientConfig(n, 0, client.RawSink{W: &m})
		if mode2 {
			cfg = s.mode2Client(n, 0, 0, client.RawSink{W: &m})
		}
		go func() {
			_, err := client.Run(s.ctx, cfg)
			if !bytes.Equal(m.data, s.want) {
				t.Errorf("client %d: not the image", n)
			}
			failed <- err
		}()
	}
	for range 2 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	close(done)
	s.all.Wait()
	cancel()
	<-result
}
