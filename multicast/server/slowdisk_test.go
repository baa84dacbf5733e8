package server_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/multicast/client"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/internal/sock/socktest"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// slowDisk is an image on a disk with one arm, in virtual time, behind a page
// cache that holds pages of it.
type slowDisk struct {
	data  []byte
	seek  time.Duration
	bytes float64 // per second
	pages int     // that the cache holds; 0: all

	arm chan struct{} // has a token while it is free: time stands still for a Mutex
	at  int64         // where the arm is
	// fetched is how many bytes came from the disk itself.
	fetched int64
	all     sync.WaitGroup
	lock    sync.Mutex // guards cache
	held    []int64    // pages in the cache, the latest used last
}

const (
	diskPage = 64 << 10
	// diskRequestPages is how much is read before another has its turn.
	diskRequestPages = 1 << 20 / diskPage
)

func (d *slowDisk) Name() string { return "slow" }
func (d *slowDisk) Size() int64  { return int64(len(d.data)) }
func (d *slowDisk) Check() error { return nil }
func (d *slowDisk) Close() error { d.all.Wait(); return nil }

func (d *slowDisk) has(page int64) bool {
	d.lock.Lock()
	defer d.lock.Unlock()
	return slices.Contains(d.held, page)
}

// use says whether a page is in the cache, where it is from now on.
func (d *slowDisk) use(page int64) bool {
	d.lock.Lock()
	defer d.lock.Unlock()
	i := slices.Index(d.held, page)
	if i >= 0 {
		d.held = slices.Delete(d.held, i, i+1)
	}
	d.held = append(d.held, page)
	if d.pages > 0 && len(d.held) > d.pages {
		d.held = d.held[1:]
	}
	return i >= 0
}

// fetch brings what is not in the cache there.
func (d *slowDisk) fetch(off, bytes int64) {
	end := min(off+bytes, d.Size())
	for page := off / diskPage; page*diskPage < end; {
		if d.has(page) {
			d.use(page)
			page++
			continue
		}
		<-d.arm
		for last := page + diskRequestPages; page < last && page*diskPage < end && !d.use(page); page++ {
			if d.at != page {
				time.Sleep(d.seek)
			}
			time.Sleep(time.Duration(diskPage / d.bytes * float64(time.Second)))
			d.at = page + 1
			d.fetched += diskPage
		}
		d.arm <- struct{}{}
	}
}

func (d *slowDisk) Prefetch(off, bytes int64) { d.all.Go(func() { d.fetch(off, bytes) }) }

func (d *slowDisk) ReadAt(p []byte, off int64) (int, error) {
	d.fetch(off, int64(len(p)))
	return bytes.NewReader(d.data).ReadAt(p, off)
}

// cachedDisk is one that also reads what is in its cache only.
type cachedDisk struct{ *slowDisk }

func (d cachedDisk) ReadCached(p []byte, off int64) (int, error) {
	for page := off / diskPage; page*diskPage < off+int64(len(p)); page++ {
		if !d.has(page) {
			return 0, nil
		}
	}
	return d.ReadAt(p, off)
}

// TestSlowDisk: while the disk is slow, those who join are answered all the
// same, and the image takes little longer than the disk or the rate need.
func TestSlowDisk(t *testing.T) {
	// Not parallel to the tests on real sockets: those have real deadlines.
	const megabytes = 24
	group := netip.MustParseAddrPort("239.1.2.3:3564")
	self := netip.MustParseAddr("10.0.0.1")
	for name, c := range map[string]struct {
		mode2, old int
		loss       float64
		seek       time.Duration
		rate       float64
		most       time.Duration // without reading ahead 0.67 s, 1.20 s, 0.67 s, 0.65 s, 1.56 s
		fetched    float64       // bytes from the disk, at most, for each of the image that is not held
		held       int64         // bytes that are in the cache at the start, and can be asked for
	}{
		"disk of a server": {mode2: 4, loss: 0.01, seek: 5 * time.Millisecond, rate: 200e6, most: 750 * time.Millisecond, fetched: 1.3},
		"old clients":      {old: 4, loss: 0.01, seek: 5 * time.Millisecond, rate: 200e6, most: time.Second, fetched: 2.1},
		"half in memory":   {mode2: 4, loss: 0.01, seek: 5 * time.Millisecond, rate: 200e6, most: time.Second, fetched: 1.5, held: 12 << 20},
		"all in memory":    {mode2: 4, loss: 0.01, seek: time.Second, rate: 1, most: 750 * time.Millisecond, held: 24 << 20},
		"network disk":     {mode2: 4, loss: 0.01, seek: 100 * time.Millisecond, rate: 60e6, most: 3 * time.Second / 2, fetched: 1.3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				net := socktest.NewNetwork(1)
				disk := &slowDisk{data: make([]byte, megabytes<<20), seek: c.seek, bytes: c.rate, pages: int(c.held+4<<20) / diskPage, arm: make(chan struct{}, 1)}
				disk.arm <- struct{}{}
				for page := range c.held / diskPage {
					disk.use(page)
				}
				rand.NewChaCha8([32]byte{1}).Read(disk.data)
				var img server.Image = disk
				lateMax := 0
				if c.held > 0 {
					img, lateMax = cachedDisk{disk}, 1 // the read that finds that there is a disk
				}
				cfg := server.Config{Image: img, Address: group, Log: slog.New(slog.DiscardHandler), Pace: server.Pace{BitsPerSec: 400_000_000},
					Conn: net.Open(self, group, 0), Mode2: true, ParityConn: net.Open(self, netip.AddrPortFrom(group.Addr(), 4001), 0), Gather: -1}
				srv, err := server.Open(cfg)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var served, loads sync.WaitGroup
				served.Go(func() {
					if err := srv.Run(ctx); !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				})
				began := time.Now()
				for n := range c.mode2 + c.old {
					addr := netip.AddrFrom4([4]byte{10, 0, 1, byte(n)})
					var out image
					lc := client.Config{Address: group, Server: self, Raw: true, Sink: client.RawSink{W: &out}, Log: cfg.Log, Mode2: n < c.mode2,
						Conn: net.Open(addr, group, c.loss), Rand: rand.New(rand.NewPCG(uint64(n), 7)),
						OpenParity: func(a netip.AddrPort) (sock.Conn, error) { return net.Open(addr, a, c.loss), nil }}
					loads.Go(func() {
						if _, err := client.Run(ctx, lc); err != nil || !bytes.Equal(out.data, disk.data) {
							t.Errorf("client %d: %v, %d bytes", n, err, len(out.data))
						}
					})
				}
				waits := make(chan []time.Duration, 1)
				probe, stop := context.WithCancel(ctx)
				go func() { waits <- joins(t, probe, net, group) }()
				loads.Wait()
				took := time.Since(began)
				stop()
				answers := <-waits
				cancel()
				served.Wait()
				slices.Sort(answers)
				t.Logf("%v, %d JOINs, answered after %v at most; %d bytes from the disk", took, len(answers), answers[len(answers)-1], disk.fetched)
				if most := answers[max(0, len(answers)-1-lateMax)]; most > c.seek/2 {
					t.Errorf("a JOIN was answered after %v", most)
				}
				if took > c.most || float64(disk.fetched) > c.fetched*float64(disk.Size()-c.held) {
					t.Errorf("took %v, want at most %v; read %d bytes from the disk, want at most %v times what was not in memory", took, c.most, disk.fetched, c.fetched)
				}
			})
		})
	}
}

type image struct{ data []byte }

func (m *image) WriteAt(p []byte, off int64) (int, error) {
	if n := int(off) + len(p); n > len(m.data) {
		m.data = append(m.data, make([]byte, n-len(m.data))...)
	}
	return copy(m.data[off:], p), nil
}

// joins asks to join again and again, and returns how long each answer took.
func joins(t *testing.T, ctx context.Context, net *socktest.Network, group netip.AddrPort) (waits []time.Duration) {
	addr := netip.MustParseAddr("10.0.2.1")
	conn := net.Open(addr, group, 0)
	defer conn.Close()
	batch := sock.NewBatch(false)
	for id := uint32(1); ctx.Err() == nil; id++ {
		began := time.Now()
		if err := conn.Write(wire.NewJoin2Request(id).Append(nil, wire.Request, addr.As4()), group); err != nil {
			t.Error(err)
		}
		for answered := false; !answered; {
			if err := conn.ReadBatch(batch, began.Add(time.Minute)); err != nil {
				t.Error(err)
				return waits
			}
			for _, d := range batch.Datagrams() {
				h, body, err := wire.Split(d.Data)
				if err != nil || h.Type != wire.Reply || h.Subtype != wire.SubJoin2 {
					continue
				}
				m, err := wire.ParseJoin2(body)
				answered = answered || err == nil && m.ClientID == id
			}
		}
		waits = append(waits, time.Since(began))
		select {
		case <-time.After(3*time.Millisecond + 17*time.Microsecond):
		case <-ctx.Done():
		}
	}
	return waits
}
