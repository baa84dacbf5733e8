package master_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hyzer/bench/shared"
	"hyzer/bench/tools"
	"hyzer/multicast/client"
	"hyzer/multicast/internal/pcaptest"
	"hyzer/multicast/master"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// testTimeout ends a test that hangs.
const testTimeout = 2 * time.Minute

// portNum is how many ports the sessions of a test may have.
const portNum = 49

var (
	localhost = netip.MustParseAddr("127.0.0.1")
	nodeAddr  = netip.MustParseAddr("127.9.0.1")
	quiet     = slog.New(slog.NewTextHandler(io.Discard, nil))
)

// dirCatalog is the null configuration (spec frisbee B4): every host may have
// every file below a folder, and ask for others.
type dirCatalog struct{ dir string }

func (c dirCatalog) Lookup(_ context.Context, _ netip.Addr, id string) (master.Image, error) {
	if strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:+,") != "" || !filepath.IsLocal(id) {
		return master.Image{}, wire.MasterFailed
	}
	return master.Image{ID: id, Path: filepath.Join(c.dir, id)}, nil
}

func (c dirCatalog) MayProxy(context.Context, netip.Addr, netip.Addr) error { return nil }

// memStore is a Store that survives its Sessions.
type memStore struct {
	lock sync.Mutex
	all  map[string]master.Assignment
}

func (m *memStore) Load() (list []master.Assignment, err error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, a := range m.all {
		list = append(list, a)
	}
	return list, nil
}

func (m *memStore) Save(a master.Assignment) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.all[a.Key()] = a
	return nil
}

func (m *memStore) Delete(key string) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	delete(m.all, key)
	return nil
}

func (m *memStore) len() int {
	m.lock.Lock()
	defer m.lock.Unlock()
	return len(m.all)
}

func newSessions(tb testing.TB, store master.Store, portBase int) *master.Sessions {
	tb.Helper()
	s := master.NewSessions(master.SessionsConfig{
		Iface: localhost, ShareHost: true, GroupBase: netip.MustParseAddr("239.192.77.1"), PortBase: portBase, PortNum: portNum,
		Store: store, Log: quiet, Pace: server.Pace{BitsPerSec: 400_000_000},
	})
	tb.Cleanup(s.Close)
	return s
}

// start runs a master server and returns its address.
func start(tb testing.TB, catalog master.Catalog, sessions *master.Sessions) netip.AddrPort {
	tb.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := master.NewServer(master.ServerConfig{Catalog: catalog, Sessions: sessions, Log: quiet})
	go func() { done <- s.Serve(ctx, l) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("serving: %v", err)
		}
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func writeImage(tb testing.TB, dir, name string, data []byte, mtime int64) {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	at := time.Unix(mtime, 0)
	if err := os.Chtimes(path, at, at); err != nil {
		tb.Fatal(err)
	}
}

// ask sends raw bytes in pieces and returns the reply.
func ask(tb testing.TB, at netip.AddrPort, pieces ...[]byte) []byte {
	tb.Helper()
	c, err := net.Dial("tcp4", at.String())
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(testTimeout))
	for _, p := range pieces {
		if _, err := c.Write(p); err != nil {
			tb.Fatal(err)
		}
	}
	reply, err := io.ReadAll(c)
	// Closing with unread bytes resets the connection.
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		tb.Fatal(err)
	}
	return reply
}

// TestCapturedExchanges asks what the captured clients of the C master server
// asked, and compares with what that server said.
func TestCapturedExchanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeImage(t, dir, "test.ndz", make([]byte, 1048576), 0x65937d25)
	writeImage(t, dir, "up.ndz", make([]byte, 2405129), 0x6547310c)
	if err := os.Mkdir(filepath.Join(dir, "adir"), 0o700); err != nil {
		t.Fatal(err)
	}
	base := int(tools.Ports(t, portNum))
	at := start(t, dirCatalog{dir}, newSessions(t, nil, base))
	var request []byte
	gets := 0
	for _, p := range pcaptest.TCP(pcaptest.Read(t, shared.Path(t, "vectors/frisbee/master.server.pcap.gz"))) {
		if p.Dst.Port() == wire.MasterPort {
			request = p.Payload
			continue
		}
		if p.Src.Port() != wire.MasterPort || len(p.Payload) != wire.GetReplyBytes {
			continue
		}
		got := ask(t, at, request)
		if want := localise(t, p.Payload, base); !bytes.Equal(got, want) {
			req, _ := wire.ParseGetRequest(request)
			t.Errorf("request %+v\n got %x\nwant %x", req, got[:24], want[:24])
		}
		gets++
	}
	if gets < 10 {
		t.Fatalf("only %d GETs in the capture", gets)
	}
}

// localise puts this test's addresses in the place of the capture's.
func localise(t *testing.T, raw []byte, base int) []byte {
	t.Helper()
	m, err := wire.ParseGetReply(raw)
	if err != nil {
		t.Fatal(err)
	}
	if m.Running {
		if m.Addr == m.Server {
			m.Addr = localhost
		}
		m.Server = localhost
		m.Port = uint16(base) + m.Port - 35700
	}
	return m.Append(nil)
}

// oneImage starts a master server of one image, and returns with its address the
// question whether it is there.
func oneImage(t *testing.T) (at netip.AddrPort, question []byte) {
	t.Helper()
	dir := t.TempDir()
	writeImage(t, dir, "a.ndz", make([]byte, 10), 99)
	question, err := wire.GetRequest{Methods: wire.AnyMethod, Status: true, ImageID: "a.ndz"}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, dirCatalog{dir}, newSessions(t, nil, 0)), question
}

func TestRequestInPieces(t *testing.T) {
	t.Parallel()
	at, msg := oneImage(t)
	whole := ask(t, at, msg)
	for _, cut := range []int{1, 4, 7, 8, 9, 16, 271} {
		if got := ask(t, at, msg[:cut], msg[cut:]); !bytes.Equal(got, whole) {
			t.Errorf("cut at %d: got %d bytes, want the reply to the whole request", cut, len(got))
		}
	}
	if len(whole) != wire.GetReplyBytes {
		t.Fatalf("reply has %d bytes", len(whole))
	}
}

// TestRequestWithMore: what follows a request does not cost the reply.
func TestRequestWithMore(t *testing.T) {
	t.Parallel()
	at, msg := oneImage(t)
	for _, more := range []int{1, 19, wire.MasterMessageBytesMax, 10_000} {
		c, err := net.Dial("tcp4", at.String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(append(msg[:len(msg):len(msg)], make([]byte, more)...)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err != nil || len(got) != wire.GetReplyBytes {
			t.Errorf("%d bytes more: a reply of %d bytes, %v", more, len(got), err)
		}
		c.Close()
	}
}

func TestNotARequest(t *testing.T) {
	t.Parallel()
	at := start(t, dirCatalog{t.TempDir()}, newSessions(t, nil, 0))
	long, _ := wire.GetRequest{Methods: wire.AnyMethod, ImageID: "x"}.Append(nil)
	binary.BigEndian.PutUint16(long[14:], 257)
	for name, msg := range map[string][]byte{
		"version":     []byte("V02\x00\x00\x00\x00\x01"),
		"type":        []byte("V01\x00\x00\x00\x00\x05"),
		"a reply":     (&wire.GetReply{}).Append(nil),
		"a long name": long,
		"HTTP":        []byte("GET / HTTP/1.0\r\n\r\n"),
	} {
		if got := ask(t, at, msg); len(got) != 0 {
			t.Errorf("%s: answered with %d bytes", name, len(got))
		}
	}
}

func TestPutIsRefusedInItsOwnField(t *testing.T) {
	t.Parallel()
	at := start(t, dirCatalog{t.TempDir()}, newSessions(t, nil, 0))
	msg, err := wire.PutRequest{ImageID: "new.ndz", FileBytes: 5}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := wire.ParsePutReply(ask(t, at, msg))
	if err != nil || reply.Error != wire.MasterNotImpl || reply.Port != 0 {
		t.Fatalf("reply %+v, error %v", reply, err)
	}
}

// memory is a file in memory.
type memory struct {
	lock sync.Mutex
	data []byte
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if need := int(off) + len(p); need > len(m.data) {
		m.data = append(m.data, make([]byte, need-len(m.data))...)
	}
	return copy(m.data[off:], p), nil
}

// TestGetAndLoadOverRestart asks, loads, and kills the sessions in the middle:
// those that a new manager resumes from the store finish the load.
func TestGetAndLoadOverRestart(t *testing.T) {
	t.Parallel()
	for _, method := range []wire.Methods{wire.Multicast, wire.Unicast} {
		t.Run(map[wire.Methods]string{wire.Multicast: "multicast", wire.Unicast: "unicast"}[method], func(t *testing.T) {
			t.Parallel()
			getAndLoad(t, method)
		})
	}
}

func getAndLoad(t *testing.T, method wire.Methods) {
	dir := t.TempDir()
	want := bytes.Repeat([]byte("0123456789abcdef!"), 500_000)
	writeImage(t, dir, "a.img", want, 1234567)
	store := &memStore{all: map[string]master.Assignment{}}
	base := int(tools.Ports(t, portNum))
	sessions := newSessions(t, store, base)
	at := start(t, dirCatalog{dir}, sessions)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	got, err := master.Get(ctx, master.Query{Server: at, From: nodeAddr, Request: wire.GetRequest{Methods: method, ImageID: "a.img"}})
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != method || got.Local != nodeAddr || !got.Running || got.FileBytes != uint64(len(want)) {
		t.Fatalf("answer %+v", got)
	}
	var m memory
	killed := make(chan struct{})
	sink := sinkFunc(func(ctx context.Context, index int, data []byte) error {
		if index == 1 {
			sessions.Close() // as a kill: the store keeps the session
			if err := newSessions(t, store, base).Resume(); err != nil {
				t.Error(err)
			}
			close(killed)
		}
		return client.RawSink{W: &m}.Chunk(ctx, index, data)
	})
	r, err := client.Run(ctx, client.Config{
		Address: netip.AddrPortFrom(got.Addr, got.Port), Server: got.Server, Iface: got.Local, ShareHost: true, Raw: true, Sink: sink, Log: quiet,
	})
	if err != nil || r.FileBytes != int64(len(want)) || !bytes.Equal(m.data, want) {
		t.Fatalf("load: %+v, error %v, content equal %v", r, err, bytes.Equal(m.data, want))
	}
	<-killed
	if store.len() != 1 {
		t.Errorf("%d sessions stored, want the running one", store.len())
	}
}

type sinkFunc func(ctx context.Context, index int, data []byte) error

func (f sinkFunc) Chunk(ctx context.Context, index int, data []byte) error {
	return f(ctx, index, data)
}

func TestErrorsOnTheWire(t *testing.T) {
	t.Parallel()
	catalog := lookupFunc(func(id string) (master.Image, error) {
		switch id {
		case "nohost":
			return master.Image{}, wire.MasterNoHost
		case "noaccess":
			return master.Image{}, errors.Join(errors.New("node pc1 has no such project"), wire.MasterNoAccess)
		case "broken":
			return master.Image{}, errors.New("store is gone")
		case "unicast-only":
			return master.Image{ID: id, Path: "/dev/null", Methods: wire.Unicast}, nil
		}
		return master.Image{ID: id, Path: "/nonexistent"}, nil
	})
	at := start(t, catalog, newSessions(t, nil, 0))
	for id, want := range map[string]wire.MasterError{
		"nohost": wire.MasterNoHost, "noaccess": wire.MasterNoAccess, "broken": wire.MasterFailed,
		"unicast-only": wire.MasterNoMethod, "absent": wire.MasterNoImage,
	} {
		_, err := master.Get(t.Context(), master.Query{Server: at, Request: wire.GetRequest{Methods: wire.Multicast, ImageID: id}})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	// Nobody may ask for others here: the catalog has no MayProxy.
	_, err := master.Get(t.Context(), master.Query{Server: at, Request: wire.GetRequest{Host: nodeAddr, Methods: wire.AnyMethod, ImageID: "absent"}})
	if !errors.Is(err, wire.MasterFailed) {
		t.Errorf("proxy: %v", err)
	}
}

type lookupFunc func(id string) (master.Image, error)

func (f lookupFunc) Lookup(_ context.Context, _ netip.Addr, id string) (master.Image, error) {
	return f(id)
}

// TestReplacedImageHasItsOwnSession: who asks after a replacement gets another
// address than who asked before.
func TestReplacedImageHasItsOwnSession(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := start(t, dirCatalog{dir}, newSessions(t, nil, int(tools.Ports(t, portNum))))
	q := master.Query{Server: at, Request: wire.GetRequest{Methods: wire.Multicast, ImageID: "a"}}
	writeImage(t, dir, "a", []byte("old"), 1)
	first, err := master.Get(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	again, err := master.Get(t.Context(), q)
	if err != nil || again.Addr != first.Addr || again.Port != first.Port {
		t.Fatalf("same image: %+v, %v, want the session at %v", again, err, first.Addr)
	}
	writeImage(t, dir, "new", []byte("new"), 2)
	if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	second, err := master.Get(t.Context(), q)
	if err != nil || second.Addr == first.Addr || second.Port == first.Port {
		t.Fatalf("replaced image: %+v, %v, want another session than %v", second, err, first.Addr)
	}
}

// TestResumeDropsChangedImage: a session of an image that is gone or changed
// is not resumed, so that its clients never get two versions.
func TestResumeDropsChangedImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := &memStore{all: map[string]master.Assignment{}}
	base := int(tools.Ports(t, portNum))
	sessions := newSessions(t, store, base)
	at := start(t, dirCatalog{dir}, sessions)
	for _, name := range []string{"kept", "changed", "gone"} {
		writeImage(t, dir, name, []byte(name), 5)
		if _, err := master.Get(t.Context(), master.Query{Server: at, Request: wire.GetRequest{Methods: wire.Multicast, ImageID: name}}); err != nil {
			t.Fatal(err)
		}
	}
	if store.len() != 3 {
		t.Fatalf("%d sessions stored, want 3", store.len())
	}
	sessions.Close()
	writeImage(t, dir, "changed", []byte("another"), 6)
	if err := os.Remove(filepath.Join(dir, "gone")); err != nil {
		t.Fatal(err)
	}
	second := newSessions(t, store, base)
	if err := second.Resume(); err != nil {
		t.Fatal(err)
	}
	list := second.List()
	if len(list) != 1 || list[0].ImageID != "kept" || store.len() != 1 {
		t.Errorf("resumed %+v, %d stored; want the unchanged one", list, store.len())
	}
}

// TestResumeLater: a session whose port is in use is back when it is free.
func TestResumeLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := &memStore{all: map[string]master.Assignment{}}
	base := int(tools.Ports(t, portNum))
	first := newSessions(t, store, base)
	writeImage(t, dir, "a", []byte("image"), 5)
	a, err := master.Get(t.Context(), master.Query{Server: start(t, dirCatalog{dir}, first), Request: wire.GetRequest{Methods: wire.Multicast, ImageID: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	other, err := net.ListenUDP("udp4", &net.UDPAddr{Port: int(a.Port)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	second := newSessions(t, store, base)
	if err := second.Resume(); err != nil {
		t.Fatal(err)
	}
	if len(second.List()) != 0 || store.len() != 1 {
		t.Fatalf("%d sessions run, %d are stored; want one that waits", len(second.List()), store.len())
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(second.List()) == 0 { // or the test's own time is over
		<-tick.C
	}
	if s := second.List()[0]; s.Address != netip.AddrPortFrom(a.Addr, a.Port) {
		t.Errorf("it is back at %v, want %v:%d", s.Address, a.Addr, a.Port)
	}
}

// failingStore cannot save.
type failingStore struct{ memStore }

func (*failingStore) Save(master.Assignment) error { return errors.New("disk is full") }

// TestNotStoredNotTold: a client is not told of an address that would not
// survive.
func TestNotStoredNotTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeImage(t, dir, "a", []byte("a"), 1)
	sessions := newSessions(t, &failingStore{memStore{all: map[string]master.Assignment{}}}, int(tools.Ports(t, portNum)))
	at := start(t, dirCatalog{dir}, sessions)
	_, err := master.Get(t.Context(), master.Query{Server: at, Request: wire.GetRequest{Methods: wire.Multicast, ImageID: "a"}})
	if !errors.Is(err, wire.MasterFailed) || len(sessions.List()) != 0 {
		t.Errorf("error %v, %d sessions", err, len(sessions.List()))
	}
}

// TestSessionsBound: when as many sessions run as may, others are asked to come
// again.
func TestSessionsBound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sessions := master.NewSessions(master.SessionsConfig{Iface: localhost, ShareHost: true, SessionsMax: 2, Log: quiet})
	t.Cleanup(sessions.Close)
	at := start(t, dirCatalog{dir}, sessions)
	for i, name := range []string{"a", "b", "c"} {
		writeImage(t, dir, name, []byte(name), 1)
		_, err := master.Get(t.Context(), master.Query{Server: at, Request: wire.GetRequest{Methods: wire.Multicast, ImageID: name}})
		if full := errors.Is(err, wire.MasterTryAgain); full != (i == 2) || (err != nil) != full {
			t.Errorf("image %s: %v", name, err)
		}
	}
}

// TestConnectionsBound: one address cannot take all connections.
func TestConnectionsBound(t *testing.T) {
	t.Parallel()
	at := start(t, dirCatalog{t.TempDir()}, newSessions(t, nil, 0))
	var conns []net.Conn
	for range 40 {
		c, err := net.Dial("tcp4", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	// Those refused are closed at once; those let in hear nothing until they
	// have asked.
	msg, err := wire.GetRequest{Methods: wire.AnyMethod, Status: true, ImageID: "none"}.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan error, len(conns))
	for _, c := range conns {
		c.SetReadDeadline(time.Now().Add(testTimeout))
		go func() {
			_, err := c.Read(make([]byte, 1))
			heard <- err
		}()
	}
	for range 8 {
		if err := <-heard; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("one of 40 connections of one address, of which 8 are to be refused: %v", err)
		}
	}
	for _, c := range conns {
		_, _ = c.Write(msg) // the refused ones are closed
	}
	for range 32 {
		if err := <-heard; err != nil {
			t.Errorf("one of those that were let in: %v", err)
		}
	}
}
