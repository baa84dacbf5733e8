package carrier

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyzer/imaging/manifest"
	"hyzer/multicast/wire"
)

var mtime = time.Unix(0x65937d25, 0)

// shop serves an image as the appliance does, with what a test does to it.
type shop struct {
	data     []byte
	etag     string
	manifest bool
	// before sees a request first, and says whether it answered it.
	before   func(w http.ResponseWriter, r *http.Request, n int) bool
	requests atomic.Int64

	lock         sync.Mutex
	atOnce, most int
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := int(s.requests.Add(1))
	s.lock.Lock()
	s.atOnce++
	s.most = max(s.most, s.atOnce)
	s.lock.Unlock()
	defer func() {
		s.lock.Lock()
		defer s.lock.Unlock()
		s.atOnce--
	}()
	if s.before != nil && s.before(w, r, n) {
		return
	}
	w.Header().Set("ETag", s.etag)
	switch {
	case r.URL.Path == "/images/pid,gid,a b/manifest" && s.manifest:
		m, err := manifest.Build(bytes.NewReader(s.data), manifest.Identity{})
		if err != nil {
			panic(err)
		}
		text, err := m.Encode()
		if err != nil {
			panic(err)
		}
		http.ServeContent(w, r, "", mtime, bytes.NewReader(text))
	case r.URL.Path == "/images/pid,gid,a b":
		http.ServeContent(w, r, "", mtime, bytes.NewReader(s.data))
	default:
		http.NotFound(w, r)
	}
}

func newShop(size int) *shop {
	s := &shop{data: make([]byte, size), etag: `"v1"`, manifest: true}
	rand.NewChaCha8([32]byte{3}).Read(s.data)
	return s
}

// open starts the server and returns a client of it that waits for nothing.
func (s *shop) open(t *testing.T, change func(*Config)) *Fetcher {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	cfg := Config{Server: netip.MustParseAddrPort(strings.TrimPrefix(srv.URL, "http://")), ImageID: "pid,gid,a b"}
	if change != nil {
		change(&cfg)
	}
	f := New(cfg)
	f.pause = time.Microsecond
	t.Cleanup(f.Close)
	return f
}

// all fetches every chunk at once.
func all(ctx context.Context, f *Fetcher) ([]byte, error) {
	size, _, err := f.Describe(ctx)
	if err != nil {
		return nil, err
	}
	data := make([]byte, size)
	errs := make(chan error)
	n := 0
	for at := 0; at < len(data); at += wire.ChunkBytes {
		into := data[at:min(at+wire.ChunkBytes, len(data))]
		go func() { errs <- f.FetchChunk(ctx, at/wire.ChunkBytes, into) }()
		n++
	}
	for range n {
		err = errors.Join(err, <-errs)
	}
	return data, err
}

func TestFetch(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, wire.ChunkBytes, 9*wire.ChunkBytes + 5} {
		for _, with := range []bool{true, false} {
			s := newShop(size)
			s.manifest = with
			f := s.open(t, func(c *Config) { c.FileBytes, c.MTime, c.AtOnce = int64(size), mtime.Add(time.Millisecond), 3 })
			got, err := all(t.Context(), f)
			if err != nil || !bytes.Equal(got, s.data) {
				t.Errorf("%d bytes: %v", size, err)
			}
			if _, m, _ := f.Describe(t.Context()); (m != nil) != with {
				t.Errorf("manifest %v", m)
			}
			if s.most > 3 {
				t.Errorf("%d requests at once", s.most)
			}
		}
	}
}

// cut sends the beginning of what was asked for and breaks the connection.
func cut(w http.ResponseWriter, r *http.Request, s *shop, bytes int) bool {
	if r.Header.Get("Range") == "" {
		return false
	}
	s.ServeContentCut(w, r, bytes)
	return true
}

// ServeContentCut answers with a part of the range.
func (s *shop) ServeContentCut(w http.ResponseWriter, r *http.Request, n int) {
	rec := httptest.NewRecorder()
	rec.Header().Set("ETag", s.etag)
	http.ServeContent(rec, r, "", mtime, bytes.NewReader(s.data))
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	w.Write(rec.Body.Bytes()[:min(n, rec.Body.Len())])
	panic(http.ErrAbortHandler)
}

// TestResume: what breaks off is gone on with where it broke off.
func TestResume(t *testing.T) {
	t.Parallel()
	s := newShop(wire.ChunkBytes)
	var asked []string
	s.before = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if r.Header.Get("Range") != "" {
			asked = append(asked, r.Header.Get("Range"))
		}
		return n < 8 && cut(w, r, s, 300_000)
	}
	got, err := all(t.Context(), s.open(t, nil))
	if err != nil || !bytes.Equal(got, s.data) {
		t.Error(err)
	}
	if len(asked) < 2 || asked[0] != "bytes=0-1048575" || strings.HasPrefix(asked[1], "bytes=0-") {
		t.Errorf("asked for %q", asked)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	status := func(code int) func(http.ResponseWriter, *http.Request, int) bool {
		return func(w http.ResponseWriter, r *http.Request, n int) bool {
			if r.Header.Get("Range") != "" {
				http.Error(w, "no", code)
			}
			return r.Header.Get("Range") != ""
		}
	}
	for name, c := range map[string]struct {
		before   func(s *shop) func(http.ResponseWriter, *http.Request, int) bool
		change   func(*Config)
		want     error
		requests int64 // at most
	}{
		"another size": {change: func(c *Config) { c.FileBytes = 5 }, want: ErrChanged, requests: 1},
		"another time": {change: func(c *Config) { c.MTime = mtime.Add(-time.Second) }, want: ErrChanged, requests: 1},
		"unknown":      {change: func(c *Config) { c.ImageID = "none" }, want: ErrRefused, requests: 1},
		"forbidden":    {before: func(*shop) func(http.ResponseWriter, *http.Request, int) bool { return status(403) }, want: ErrRefused, requests: 3},
		"broken":       {before: func(*shop) func(http.ResponseWriter, *http.Request, int) bool { return status(500) }, want: errAny, requests: 2 + triesMax},
		"changes": {before: func(s *shop) func(http.ResponseWriter, *http.Request, int) bool {
			return func(_ http.ResponseWriter, r *http.Request, _ int) bool {
				if r.Header.Get("Range") != "" {
					s.etag = `"v2"`
				}
				return false
			}
		}, want: ErrChanged, requests: 3},
		"ignores ranges": {before: func(s *shop) func(http.ResponseWriter, *http.Request, int) bool {
			return func(_ http.ResponseWriter, r *http.Request, _ int) bool { r.Header.Del("Range"); return false }
		}, want: ErrRefused, requests: 3},
		"no version": {before: func(s *shop) func(http.ResponseWriter, *http.Request, int) bool {
			return func(http.ResponseWriter, *http.Request, int) bool { s.etag = ""; return false }
		}, want: ErrRefused, requests: 1},
		"redirects": {before: func(s *shop) func(http.ResponseWriter, *http.Request, int) bool {
			return func(w http.ResponseWriter, r *http.Request, _ int) bool {
				http.Redirect(w, r, "/elsewhere", 302)
				return true
			}
		}, want: ErrRefused, requests: 1},
		"silent": {before: func(s *shop) func(http.ResponseWriter, *http.Request, int) bool {
			return func(w http.ResponseWriter, r *http.Request, _ int) bool { return cut(w, r, s, 0) }
		}, want: errAny, requests: 2 + 2*triesMax}, // net/http tries again too
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(1000)
			if c.before != nil {
				s.before = c.before(s)
			}
			_, err := all(t.Context(), s.open(t, c.change))
			if err == nil || c.want != errAny && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if n := s.requests.Load(); n > c.requests {
				t.Errorf("%d requests, want at most %d", n, c.requests)
			}
		})
	}
}

var errAny = errors.New("any")

// TestDamaged: a chunk that does not agree with the manifest is no chunk.
func TestDamaged(t *testing.T) {
	t.Parallel()
	s := newShop(2 * wire.ChunkBytes)
	f := s.open(t, nil)
	if _, _, err := f.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.data[wire.ChunkBytes] ^= 1
	into := make([]byte, wire.ChunkBytes)
	if err := f.FetchChunk(t.Context(), 0, into); err != nil {
		t.Error(err)
	}
	var damaged *manifest.ChunkError
	if err := f.FetchChunk(t.Context(), 1, into); !errors.As(err, &damaged) {
		t.Error(err)
	}
	for _, chunk := range []int{-1, 2} {
		if err := f.FetchChunk(t.Context(), chunk, into); err == nil {
			t.Errorf("chunk %d was fetched", chunk)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.FetchChunk(ctx, 0, into); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkFetch(b *testing.B) {
	s := newShop(8 * wire.ChunkBytes)
	srv := httptest.NewServer(s)
	defer srv.Close()
	f := New(Config{Server: netip.MustParseAddrPort(strings.TrimPrefix(srv.URL, "http://")), ImageID: "pid,gid,a b"})
	defer f.Close()
	into := make([]byte, wire.ChunkBytes)
	b.SetBytes(wire.ChunkBytes)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := f.FetchChunk(b.Context(), i%8, into); err != nil {
			b.Fatal(err)
		}
	}
}
