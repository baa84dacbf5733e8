package client_test

import (
	"bytes"
	"context"
	"os"
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
		"alone, half the rate":    {1, 50 * time.Microsecond},
		"one of three, a quarter": {3, 90 * time.Microsecond},
		"fast enough":             {4, 10 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 14<<20)
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
				if took > ideal*5/4+150*time.Millisecond {
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
		const chunks, each = 36, 60 * time.Millisecond
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
		for n := range 1 {
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

// TestSiteSpill: a node with a slow disk lets chunks wait in a file, and the
// others do not wait for it.
func TestSiteSpill(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bytesMax int64
		keepsUp  bool
	}{
		"room for all":  {64 << 20, true},
		"room for few":  {5 << 20, false},
		"room for none": {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				const chunks, each = 40, 60 * time.Millisecond
				s := newSite(t, chunks<<20+700)
				ctx, cancel := context.WithCancel(s.ctx)
				_, result := s.serve(ctx, s.mode2Server(4001))
				var m memory
				refused := false
				cfg := s.mode2Client(99, 0.01, 0.01, sinkFunc(func(ctx context.Context, index int, data []byte) error {
					time.Sleep(each)
					if index == 30 && !refused {
						refused = true
						return client.ErrBadChunk
					}
					return client.RawSink{W: &m}.Chunk(ctx, index, data)
				}))
				cfg.Buffers, cfg.SpillDir, cfg.SpillBytesMax = 24, dir, c.bytesMax
				start := time.Now()
				var spills int
				s.all.Go(func() {
					r, err := client.Run(s.ctx, cfg)
					if spills = r.Spills; err != nil || !bytes.Equal(m.data, s.want) {
						t.Errorf("error %v, content equal %v", err, bytes.Equal(m.data, s.want))
					}
				})
				var others time.Duration
				for n := range 1 {
					s.loadMode2(n, 0.01, 0.01, func(client.Result) { others = time.Since(start) })
				}
				s.all.Wait()
				cancel()
				<-result
				t.Logf("others took %v, %d chunks spilled", others, spills)
				if fast := others < 1400*time.Millisecond; fast != c.keepsUp || spills > 0 != (c.bytesMax > 0) {
					t.Errorf("others took %v, %d chunks spilled", others, spills)
				}
			})
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind %v, %v", left, err)
			}
		})
	}
}
