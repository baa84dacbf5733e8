package client_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/imaging/manifest"
	"hyzer/multicast/client"
	"hyzer/multicast/wire"
)

// shelf is a Fetcher of bytes in memory, a chunk in 100 ms.
type shelf struct {
	data     []byte
	manifest bool
	fail     func(chunk, try int) error

	lock         sync.Mutex
	tries        map[int]int
	atOnce, most int
}

func newShelf(data []byte) *shelf { return &shelf{data: data, tries: map[int]int{}} }

func (s *shelf) Describe(context.Context) (int64, *manifest.Manifest, error) {
	if !s.manifest {
		return int64(len(s.data)), nil, nil
	}
	m, err := manifest.Build(bytes.NewReader(s.data), manifest.Identity{})
	return int64(len(s.data)), m, err
}

func (s *shelf) FetchChunk(ctx context.Context, chunk int, into []byte) error {
	s.lock.Lock()
	s.tries[chunk]++
	try := s.tries[chunk]
	s.atOnce++
	s.most = max(s.most, s.atOnce)
	s.lock.Unlock()
	defer func() {
		s.lock.Lock()
		defer s.lock.Unlock()
		s.atOnce--
	}()
	select {
	case <-time.After(100 * time.Millisecond): // virtual
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.fail != nil {
		if err := s.fail(chunk, try); err != nil {
			return err
		}
	}
	copy(into, s.data[chunk*wire.ChunkBytes:])
	return nil
}

// TestFetchInSilence: a client that hears nothing gets all by the other way,
// once it is sure, whether or not there is a server.
func TestFetchInSilence(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		manifest, mode2 bool
		fail            func(chunk, try int) error
		want            error
		took            time.Duration // at most
	}{
		"plain":         {took: 12 * time.Second},
		"with manifest": {manifest: true, mode2: true, took: 12 * time.Second},
		"fails at first": {took: 90 * time.Second, fail: func(_, try int) error {
			if try <= 2 {
				return broken
			}
			return nil
		}},
		"fails": {want: broken, took: 2 * time.Minute, fail: func(int, int) error { return broken }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, 20<<20+333)
				f := newShelf(s.want)
				f.manifest, f.fail = c.manifest, c.fail
				var m memory
				cfg := s.clientConfig(1, 1, client.RawSink{W: &m})
				cfg.Fetcher, cfg.Mode2, cfg.Buffers = f, c.mode2, 8
				start := time.Now()
				r, err := client.Run(s.ctx, cfg)
				if !errors.Is(err, c.want) || c.want == nil && !bytes.Equal(m.data, s.want) {
					t.Errorf("error %v, content equal %v", err, bytes.Equal(m.data, s.want))
				}
				if took := time.Since(start); took < 10*time.Second || took > c.took {
					t.Errorf("took %v", took)
				}
				if r.Checked != c.manifest {
					t.Errorf("checked %v", r.Checked)
				}
				if f.most > 4 {
					t.Errorf("%d chunks at once", f.most)
				}
			})
		})
	}
}

// TestFetchTheRest: when the server dies in mid-load only the rest is fetched;
// when all is well nothing is.
func TestFetchTheRest(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t, 20<<20)
			ctx, kill := context.WithCancel(s.ctx)
			defer kill()
			_, result := s.serve(ctx, s.serverConfig())
			f := newShelf(s.want)
			var m memory
			cfg := s.clientConfig(1, 0, client.RawSink{W: &m})
			cfg.Fetcher = f
			s.all.Go(func() {
				if _, err := client.Run(s.ctx, cfg); err != nil || !bytes.Equal(m.data, s.want) {
					t.Errorf("error %v, content equal %v", err, bytes.Equal(m.data, s.want))
				}
			})
			if killed {
				time.Sleep(200 * time.Millisecond) // virtual: half of the load
				kill()
			}
			s.all.Wait()
			kill()
			<-result
			if n := len(f.tries); killed != (n > 0) || n > 15 {
				t.Errorf("killed %v: %d chunks fetched", killed, n)
			}
		})
	}
}

// TestFetchOther: an image of another size by the other way is not mixed with
// the session's.
func TestFetchOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 20<<20)
		ctx, kill := context.WithCancel(s.ctx)
		_, result := s.serve(ctx, s.serverConfig())
		f := newShelf(append(bytes.Clone(s.want), make([]byte, 5000)...))
		cfg := s.clientConfig(1, 0, client.RawSink{W: &memory{}})
		cfg.Fetcher = f
		s.all.Go(func() {
			_, err := client.Run(s.ctx, cfg)
			if !errors.Is(err, client.ErrImageChanged) || !strings.Contains(err.Error(), "neither") {
				t.Errorf("error %v", err)
			}
		})
		time.Sleep(200 * time.Millisecond) // virtual
		kill()
		<-result
		s.all.Wait()
		if len(f.tries) > 0 {
			t.Errorf("%d chunks fetched", len(f.tries))
		}
	})
}
