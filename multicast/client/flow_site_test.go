package client_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/internal/sock"
)

// slowConn takes that long for each datagram, as a node does whose processor is
// busy.
type slowConn struct {
	sock.Conn
	each time.Duration
}

func (c slowConn) ReadBatch(b *sock.Batch, deadline time.Time) error {
	err := c.Conn.ReadBatch(b, deadline)
	time.Sleep(time.Duration(len(b.Datagrams())) * c.each)
	return err
}

// TestSiteSlowIntake: the server follows the slowest client, so that its socket
// does not overflow, and goes no slower than that.
func TestSiteSlowIntake(t *testing.T) {
	// Not parallel to the tests on real sockets: those have real deadlines.
	for name, c := range map[string]struct {
		clients int
		each    time.Duration // of the slow one
	}{
		"alone, half the rate":  {1, 50 * time.Microsecond},
		"one of eight, a fifth": {8, 115 * time.Microsecond},
		"fast enough":           {4, 10 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 48<<20)
				ctx, cancel := context.WithCancel(s.ctx)
				srv, result := s.serve(ctx, s.mode2Server(4001))
				var m memory
				cfg := s.mode2Client(99, 0, 0, client.RawSink{W: &m})
				cfg.Conn = slowConn{cfg.Conn, c.each}
				start := time.Now()
				var slow client.Result
				s.all.Go(func() {
					var err error
					if slow, err = client.Run(s.ctx, cfg); err != nil || !bytes.Equal(m.data, s.want) {
						t.Errorf("slow client: error %v, content equal %v", err, bytes.Equal(m.data, s.want))
					}
				})
				for n := range c.clients - 1 {
					s.loadMode2(n, 0, 0, nil)
				}
				s.all.Wait()
				took := time.Since(start)
				cancel()
				<-result
				st := srv.Stats()
				blocks := float64(len(s.want) / 1024)
				ideal := max(time.Duration(blocks)*c.each, time.Duration(blocks/400e6*9168*1e9))
				t.Logf("%v, ideal %v, %d blocks sent for %.0f, %d dropped, %d flows", took, ideal, st.BlocksSent+st.ParitySent, blocks, slow.SocketDrops, st.Flows)
				if sent := float64(st.BlocksSent + st.ParitySent); sent > 1.01*blocks {
					t.Errorf("sent %.3f blocks per block", sent/blocks)
				}
				if took > ideal*5/4 {
					t.Errorf("took %v, could be %v", took, ideal)
				}
			})
		})
	}
}

// TestSiteSlowDisk: the server follows the slowest disk, and nothing that was
// sent is thrown away for want of a buffer.
func TestSiteSlowDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const chunks, each = 64, 60 * time.Millisecond
		s := newSite(t, chunks<<20)
		ctx, cancel := context.WithCancel(s.ctx)
		srv, result := s.serve(ctx, s.mode2Server(4001))
		var m memory
		cfg := s.mode2Client(99, 0, 0, sinkFunc(func(ctx context.Context, index int, data []byte) error {
			time.Sleep(each)
			return client.RawSink{W: &m}.Chunk(ctx, index, data)
		}))
		cfg.Buffers = 24
		start := time.Now()
		s.all.Go(func() {
			r, err := client.Run(s.ctx, cfg)
			if err != nil || !bytes.Equal(m.data, s.want) || r.Stats.NoFreeChunks > 0 {
				t.Errorf("error %v, content equal %v, %d blocks without a buffer", err, bytes.Equal(m.data, s.want), r.Stats.NoFreeChunks)
			}
		})
		for n := range 3 {
			s.loadMode2(n, 0, 0, nil)
		}
		s.all.Wait()
		took := time.Since(start)
		cancel()
		<-result
		st := srv.Stats()
		t.Logf("%v, %d blocks sent, %d flows", took, st.BlocksSent+st.ParitySent, st.Flows)
		if ideal := chunks * each; took > ideal*5/4 || st.BlocksSent > chunks<<10*101/100 {
			t.Errorf("took %v, could be %v; %d blocks sent", took, ideal, st.BlocksSent)
		}
	})
}
