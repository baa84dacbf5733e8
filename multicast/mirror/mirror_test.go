package mirror

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hyzer/multicast/master"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

var (
	local = netip.MustParseAddr("127.0.0.1")
	node  = netip.MustParseAddr("127.9.0.1")
	other = netip.MustParseAddr("127.9.0.2")
	quiet = slog.New(slog.DiscardHandler)
)

// parentDir is the parent's catalog: node may have every file.
type parentDir struct{ dir string }

func (p parentDir) Lookup(_ context.Context, client netip.Addr, id string) (master.Image, error) {
	if client != node {
		return master.Image{}, wire.MasterNoAccess
	}
	return master.Image{ID: id, Path: filepath.Join(p.dir, filepath.Base(id))}, nil
}

func (parentDir) MayProxy(context.Context, netip.Addr, netip.Addr) error { return nil }

// family is a parent and its mirror.
type family struct {
	*Mirror
	parentDir string
	parent    *master.Sessions
	stop      func()
}

func newFamily(t *testing.T) *family {
	t.Helper()
	f := &family{parentDir: t.TempDir()}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sessions := master.NewSessions(master.SessionsConfig{Iface: local, ShareHost: true, GroupBase: netip.MustParseAddr("239.192.78.1"),
		Log: quiet, Mode2: true, Pace: server.Pace{BitsPerSec: 400_000_000}})
	f.parent = sessions
	s := master.NewServer(master.ServerConfig{Catalog: parentDir{f.parentDir}, Sessions: sessions, Log: quiet})
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
		sessions.Close()
	})
	f.stop = func() { cancel(); served.Wait() }
	t.Cleanup(f.stop)
	f.Mirror, err = New(Config{Parent: l.Addr().(*net.TCPAddr).AddrPort(), Iface: local, ShareHost: true, Dir: filepath.Join(t.TempDir(), "m"), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func (f *family) publish(t *testing.T, size int, mtime int64) []byte {
	t.Helper()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(mtime)}).Read(data)
	path := filepath.Join(f.parentDir, "image")
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path+".new", time.Unix(mtime, 0), time.Unix(mtime, 0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return data
}

// want asks until the image is there, and compares it.
func (f *family) want(t *testing.T, data []byte) {
	t.Helper()
	image, err := f.Lookup(t.Context(), node, "pid/image")
	var busy *master.Busy
	if !errors.As(err, &busy) || busy.FileBytes != uint64(len(data)) {
		t.Fatalf("first: %+v, %v", busy, err)
	}
	f.all.Wait() // the fetch
	if image, err = f.Lookup(t.Context(), node, "pid/image"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(image.Path); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v; want %d", len(got), err, len(data))
	}
}

// TestMirror: an image is fetched once, and again when the parent has another,
// be it older.
func TestMirror(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.want(t, f.publish(t, 2<<20+77, 1000))
	f.want(t, f.publish(t, 1<<20+5, 900))
	if _, err := f.Lookup(t.Context(), other, "pid/image"); !errors.Is(err, wire.MasterNoAccess) {
		t.Errorf("another node: %v", err)
	}
	for _, id := range []string{"", "../image", ".hidden", string(bytes.Repeat([]byte("%"), 100))} {
		if _, err := f.Lookup(t.Context(), node, id); err == nil {
			t.Errorf("%q was found", id)
		}
	}
	left, err := os.ReadDir(f.cfg.Dir)
	if err != nil || len(left) != 1 {
		t.Errorf("files: %v, %v", left, err)
	}
}

// TestParentGone: what is here is served to those that were allowed it, and
// others ask again.
func TestParentGone(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.want(t, f.publish(t, 5000, 1000))
	f.stop()
	if _, err := f.Lookup(t.Context(), node, "pid/image"); err != nil {
		t.Error(err)
	}
	for client, id := range map[netip.Addr]string{other: "pid/image", node: "pid/unknown"} {
		if _, err := f.Lookup(t.Context(), client, id); !errors.Is(err, wire.MasterTryAgain) {
			t.Errorf("%v, %s: %v", client, id, err)
		}
	}
}

// TestFetchFails: nothing is left of a fetch that fails, and it is not tried
// again at once.
func TestFetchFails(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	data := f.publish(t, 5000, 1000)
	path, err := f.path("pid/image")
	if err != nil {
		t.Fatal(err)
	}
	// A folder in the place of the file: its disk cannot take it.
	if err := os.MkdirAll(path+tempSuffix, 0o700); err != nil {
		t.Fatal(err)
	}
	f.retryAt["pid/of-long-ago"] = time.Unix(1, 0)
	for range 3 {
		if _, err := f.Lookup(t.Context(), node, "pid/image"); !errors.Is(err, wire.MasterTryAgain) {
			t.Fatal(err)
		}
		f.all.Wait()
	}
	if f.retryAt["pid/image"].IsZero() || len(f.retryAt) != 1 {
		t.Errorf("the failure was not noted, or others were not forgotten: %v", f.retryAt)
	}
	if err := os.Remove(path + tempSuffix); err != nil {
		t.Fatal(err)
	}
	f.lock.Lock()
	clear(f.retryAt)
	f.lock.Unlock()
	f.want(t, data)
}

// TestSweep: what a killed fetch left is removed.
func TestSweep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a" + tempSuffix, "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := New(Config{Dir: dir, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != "b" {
		t.Errorf("left: %v, %v", left, err)
	}
}

// adopt gives a mirror another parent.
func (f *family) adopt(t *testing.T, catalog master.Catalog, sessions *master.Sessions) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := master.NewServer(master.ServerConfig{Catalog: catalog, Sessions: sessions, Log: quiet}).Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); served.Wait() })
	f.cfg.Parent = l.Addr().(*net.TCPAddr).AddrPort()
}

// TestBusyForEver: a parent that never sends does not keep others from being
// fetched.
func TestBusyForEver(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.publish(t, 5000, 1000)
	sessions := master.NewSessions(master.SessionsConfig{Iface: local, ShareHost: true, GroupBase: netip.MustParseAddr("239.192.77.1"), SessionsMax: 1, Log: quiet})
	t.Cleanup(sessions.Close)
	f.adopt(t, parentDir{f.parentDir}, sessions)
	if err := os.WriteFile(filepath.Join(f.parentDir, "other"), []byte("takes the only session"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := master.Get(t.Context(), f.query(node, "other", false)); err != nil {
		t.Fatal(err)
	}
	f.busyTime = time.Millisecond
	if _, err := f.Lookup(t.Context(), node, "pid/image"); !errors.Is(err, wire.MasterTryAgain) {
		t.Fatal(err)
	}
	f.all.Wait()
	if f.retryAt["pid/image"].IsZero() {
		t.Error("the failure was not noted")
	}
}

// gate is a parent's catalog that answers nobody until so many ask at once.
type gate struct {
	parentDir
	entered chan struct{}
	open    chan struct{}
}

func (g gate) Lookup(ctx context.Context, client netip.Addr, id string) (master.Image, error) {
	g.entered <- struct{}{}
	<-g.open
	return g.parentDir.Lookup(ctx, client, id)
}

// TestManyAsk: however many clients ask at once, the parent hears no more of us
// than it admits of one caller, and all are answered.
func TestManyAsk(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	data := f.publish(t, 5000, 1000)
	f.want(t, data)
	const clients = 100
	g := gate{parentDir{f.parentDir}, make(chan struct{}, clients), make(chan struct{})}
	f.adopt(t, g, f.parent)
	clear(f.allowed) // nobody is served without it
	failed := make(chan error)
	for range clients {
		go func() {
			_, err := f.Lookup(t.Context(), node, "pid/image")
			failed <- err
		}()
	}
	for range asksMax {
		<-g.entered
	}
	close(g.open)
	for range clients {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
