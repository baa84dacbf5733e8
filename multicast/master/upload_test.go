package master_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyzer/bench/shared"
	"hyzer/multicast/internal/pcaptest"
	"hyzer/multicast/master"
	"hyzer/multicast/upload"
	"hyzer/multicast/wire"
)

// folder is a master.Receiver: every client may write every image of a folder.
type folder struct {
	dir      string
	bytesMax int64
	refuse   error // Commit's
}

func (f *folder) Target(_ context.Context, _ netip.Addr, id string) (master.Target, error) {
	if id == "secret" {
		return master.Target{}, wire.MasterNoAccess
	}
	return master.Target{ID: id, Path: filepath.Join(f.dir, id), BytesMax: f.bytesMax}, nil
}

func (f *folder) Create(_ context.Context, _ netip.Addr, t master.Target) (master.Incoming, error) {
	return &incoming{folder: f, path: t.Path}, nil
}

type incoming struct {
	*folder
	bytes.Buffer
	path string
}

func (i *incoming) Abort() error { return nil }

func (i *incoming) Commit(_ context.Context, mtime time.Time) error {
	if i.refuse != nil {
		return i.refuse
	}
	temp := i.path + ".new" // others look at what is there
	err := os.WriteFile(temp, i.Bytes(), 0o600)
	if err == nil && !mtime.IsZero() {
		err = os.Chtimes(temp, mtime, mtime)
	}
	if err != nil {
		return err
	}
	return os.Rename(temp, i.path)
}

// results collects how uploads ended.
type results chan master.UploadResult

func (r results) next(t *testing.T) master.UploadResult {
	t.Helper()
	select {
	case u := <-r:
		return u
	case <-time.After(testTimeout):
		t.Fatal("no upload ended")
		return master.UploadResult{}
	}
}

// takes runs a master server that takes uploads.
func takes(t *testing.T, f *folder, change func(*master.UploadConfig)) (netip.AddrPort, results) {
	t.Helper()
	return takesWith(t, f, quiet, change)
}

func takesWith(t *testing.T, f *folder, log *slog.Logger, change func(*master.UploadConfig)) (netip.AddrPort, results) {
	t.Helper()
	done := make(results, 16)
	c := master.UploadConfig{Receiver: f, OnDone: func(r master.UploadResult) { done <- r }}
	if change != nil {
		change(&c)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := master.NewServer(master.ServerConfig{Catalog: dirCatalog{f.dir}, Sessions: newSessions(t, nil, 0), Uploads: c, Log: log})
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); served.Wait() })
	return l.Addr().(*net.TCPAddr).AddrPort(), done
}

func put(t *testing.T, at netip.AddrPort, req wire.PutRequest) wire.PutReply {
	t.Helper()
	req.Host = netip.IPv4Unspecified()
	r, err := master.Put(t.Context(), master.PutQuery{Server: at, Request: req})
	if err != nil && r.Error == wire.MasterOK {
		t.Fatal(err)
	}
	return r
}

// stream connects to where a reply says.
func stream(t *testing.T, r wire.PutReply) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp4", netip.AddrPortFrom(r.Addr, r.Port).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// TestCapturedUpload replays what the C uploader sent and compares with what
// the C server said, before and after.
func TestCapturedUpload(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	at, done := takes(t, f, nil)
	data := shared.ReadGzip(t, "vectors/frisbee/raw_a.txt.gz")
	var request []byte
	exchanges := 0
	for _, p := range pcaptest.TCP(pcaptest.Read(t, shared.Path(t, "vectors/frisbee/master.server.pcap.gz"))) {
		if p.Dst.Port() == wire.MasterPort {
			request = p.Payload
		}
		if p.Src.Port() != wire.MasterPort || len(p.Payload) != wire.PutReplyBytes {
			continue
		}
		exchanges++
		raw := ask(t, at, request)
		got, err := wire.ParsePutReply(raw)
		if err != nil {
			t.Fatal(err)
		}
		want, err := wire.ParsePutReply(p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if got.Port != 0 {
			c := stream(t, got)
			if _, err := c.Write(data); err != nil {
				t.Fatal(err)
			}
			c.Close()
			if r := done.next(t); r.Err != nil || r.Bytes != int64(len(data)) {
				t.Fatalf("upload ended: %+v", r)
			}
			want.Addr, want.Port = got.Addr, got.Port
		}
		if !bytes.Equal(raw, want.Append(nil)) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if exchanges != 2 {
		t.Fatalf("%d PUTs in the capture", exchanges)
	}
	stored, err := os.ReadFile(filepath.Join(f.dir, "up.ndz"))
	if err != nil || !bytes.Equal(stored, data) {
		t.Errorf("stored %d bytes, %v", len(stored), err)
	}
}

// TestUploadEnds: whatever comes, nothing takes the place of the image but what
// was announced.
func TestUploadEnds(t *testing.T) {
	t.Parallel()
	const old = "the image before"
	for name, c := range map[string]struct {
		announced uint64
		mark      bool // asked for
		send      string
		reset     bool
		refuse    error
		want      string // of the error; "": it is the image now
	}{
		"whole":             {announced: 5, send: "hello"},
		"of unknown size":   {send: "hello"},
		"marked":            {mark: true, send: marked("hello", 5)},
		"marked, the quota": {mark: true, send: marked(strings.Repeat("x", 100), 100)},
		"marked, over it":   {mark: true, send: marked(strings.Repeat("x", 101), 101), want: "larger"},
		"marked, cut":       {mark: true, send: marked("hello", 5)[:24], want: "cut short"},
		"marked, mark cut":  {mark: true, send: marked("hello", 5)[:25], want: "cut short"},
		"marked, short":     {mark: true, send: "hello", want: "cut short"},
		"marked, nothing":   {mark: true, want: "cut short"},
		"marked, empty":     {mark: true, send: marked("", 0), want: "no bytes"},
		"marked, a lie":     {mark: true, send: marked("hello", 6), want: "cut short"},
		"marked, more":      {mark: true, send: marked("hello", 5) + "x", want: "cut short"},
		"marked, reset":     {mark: true, send: "hello", reset: true, want: "reset"},
		"size and mark":     {announced: 5, mark: true, send: "hello"},
		"cut at once":       {announced: 5, want: "no bytes"},
		"unknown, at once":  {want: "no bytes"},
		"cut after a byte":  {announced: 5, send: "h", want: "cut short"},
		"cut before a byte": {announced: 5, send: "hell", want: "cut short"},
		"a byte more":       {announced: 5, send: "hello!", want: "larger"},
		"over the quota":    {send: strings.Repeat("x", 101), want: "larger"},
		"the quota":         {send: strings.Repeat("x", 100)},
		"reset":             {send: "hello", reset: true, want: "reset"},
		"refused":           {announced: 5, send: "hello", refuse: errors.New("no image"), want: "no image"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &folder{dir: t.TempDir(), bytesMax: 100, refuse: c.refuse}
			path := filepath.Join(f.dir, "i")
			if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
			at, done := takes(t, f, nil)
			r := put(t, at, wire.PutRequest{ImageID: "i", FileBytes: c.announced, EndMark: c.mark})
			if r.EndMark != (c.mark && c.announced == 0) {
				t.Errorf("told of the mark: %v", r.EndMark)
			}
			if r.Error != wire.MasterOK || !r.Exists || r.FileBytes != uint64(len(old)) || r.FileBytesMax != 100 {
				t.Fatalf("reply %+v", r)
			}
			conn := stream(t, r)
			if _, err := io.WriteString(conn, c.send); err != nil {
				t.Fatal(err)
			}
			if c.reset {
				conn.SetLinger(0)
			}
			conn.Close()
			end, want := done.next(t), strings.TrimSuffix(c.send, marked("", len(c.send)-wire.EndMarkBytes))
			if c.want != "" {
				want = old
				if end.Err == nil || !strings.Contains(end.Err.Error(), c.want) {
					t.Errorf("error %v, want %q", end.Err, c.want)
				}
			} else if end.Err != nil {
				t.Error(end.Err)
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("the image is %q, %v; want %q", got, err, want)
			}
		})
	}
}

// marked is an image with a mark behind it that ends one of so many bytes.
func marked(image string, imageBytes int) string {
	return string(wire.AppendEndMark([]byte(image), int64(imageBytes)))
}

// TestUploadUnknownSize: our uploader ends with the mark where it is asked for.
func TestUploadUnknownSize(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	at, done := takes(t, f, nil)
	image := strings.Repeat("image", 1<<17)
	n, err := upload.Send(t.Context(), upload.Config{Server: at, ImageID: "i", Timeout: testTimeout}, strings.NewReader(image))
	if r := done.next(t); err != nil || n != int64(len(image)) || r.Err != nil || r.Bytes != n {
		t.Errorf("%d bytes, %v; %+v", n, err, r)
	}
	if got, err := os.ReadFile(filepath.Join(f.dir, "i")); err != nil || string(got) != image {
		t.Errorf("stored %d bytes, %v", len(got), err)
	}
}

func TestUploadRefused(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir(), bytesMax: 100}
	if err := os.Mkdir(filepath.Join(f.dir, "adir"), 0o700); err != nil {
		t.Fatal(err)
	}
	at, done := takes(t, f, func(c *master.UploadConfig) { c.UploadsMax = 2 })
	for _, c := range []struct {
		req  wire.PutRequest
		want wire.MasterError
	}{
		{wire.PutRequest{ImageID: "secret"}, wire.MasterNoAccess},
		{wire.PutRequest{ImageID: "secret", Status: 1}, wire.MasterNoAccess},
		{wire.PutRequest{ImageID: "i", FileBytes: 101}, wire.MasterTooBig},
		{wire.PutRequest{ImageID: "i", FileBytes: 1 << 63}, wire.MasterTooBig},
		{wire.PutRequest{ImageID: "adir"}, wire.MasterInvalid},
		{wire.PutRequest{ImageID: "i", Status: 1}, wire.MasterOK},
		{wire.PutRequest{ImageID: "i", FileBytes: 7}, wire.MasterOK}, // goes on from here
		{wire.PutRequest{ImageID: "i", Status: 1}, wire.MasterTryAgain},
		{wire.PutRequest{ImageID: "i", FileBytes: 8}, wire.MasterTryAgain},
		{wire.PutRequest{ImageID: "k"}, wire.MasterOK},
		{wire.PutRequest{ImageID: "l"}, wire.MasterTryAgain}, // the third at once
	} {
		r := put(t, at, c.req)
		if r.Error != c.want {
			t.Errorf("%+v: %v, want %v", c.req, r.Error, c.want)
		}
		if c.want == wire.MasterTooBig && r.FileBytesMax != 100 {
			t.Errorf("%+v: at most %d bytes", c.req, r.FileBytesMax)
		}
		if (r.Port != 0) != (c.want == wire.MasterOK && c.req.Status == 0) {
			t.Errorf("%+v: port %d", c.req, r.Port)
		}
	}
	// A request whose reply was lost is asked again, until bytes come.
	one, two := put(t, at, wire.PutRequest{ImageID: "i", FileBytes: 7}), put(t, at, wire.PutRequest{ImageID: "i", FileBytes: 7})
	if one.Port == 0 || one.Port != two.Port {
		t.Errorf("asked twice: ports %d and %d", one.Port, two.Port)
	}
	conn := stream(t, one)
	io.WriteString(conn, "1234567")
	conn.Close()
	if r := done.next(t); r.Err != nil || r.ImageID != "i" {
		t.Errorf("%+v", r)
	}
}

// TestUploadIdle: a client that does not come, or stops, is given up.
func TestUploadIdle(t *testing.T) {
	t.Parallel()
	at, done := takes(t, &folder{dir: t.TempDir()}, func(c *master.UploadConfig) { c.Idle = 50 * time.Millisecond })
	put(t, at, wire.PutRequest{ImageID: "i"})
	if r := done.next(t); !errors.Is(r.Err, context.DeadlineExceeded) {
		t.Errorf("nobody came: %v", r.Err)
	}
	r := stalled(t, func(c *master.UploadConfig, limit time.Duration) { c.Idle = limit }, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "x")
	})
	if !errors.Is(r.Err, os.ErrDeadlineExceeded) {
		t.Errorf("silent: %v", r.Err)
	}
	// The time for the whole counts too, however busy the client is.
	r = stalled(t, func(c *master.UploadConfig, limit time.Duration) { c.Timeout = limit }, func(conn net.Conn) {
		for {
			if _, err := conn.Write(make([]byte, 100)); err != nil {
				break
			}
		}
	})
	if !errors.Is(r.Err, context.DeadlineExceeded) {
		t.Errorf("too long: %v", r.Err)
	}
}

// stalled is how an upload of an endless client ends that runs into a limit.
// The limit is raised until a connection comes before it.
func stalled(t *testing.T, set func(*master.UploadConfig, time.Duration), send func(net.Conn)) master.UploadResult {
	t.Helper()
	for limit := 100 * time.Millisecond; ; limit *= 4 {
		at, done := takes(t, &folder{dir: t.TempDir()}, func(c *master.UploadConfig) { set(c, limit) })
		reply := put(t, at, wire.PutRequest{ImageID: "i"})
		conn, err := net.Dial("tcp4", netip.AddrPortFrom(reply.Addr, reply.Port).String())
		if err == nil {
			send(conn)
			defer conn.Close()
		}
		if r := done.next(t); r.Bytes > 0 || limit > testTimeout {
			return r
		}
	}
}

// TestUploadStranger: others are turned away and end nothing.
func TestUploadStranger(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	at, done := takes(t, f, nil)
	r := put(t, at, wire.PutRequest{ImageID: "i"})
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: nodeAddr.AsSlice()}}
	other, err := d.Dial("tcp4", netip.AddrPortFrom(r.Addr, r.Port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if _, err := io.ReadAll(other); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Log(err) // closed or reset, as it falls
	}
	conn := stream(t, r)
	io.WriteString(conn, "mine")
	conn.Close()
	if r := done.next(t); r.Err != nil || r.Bytes != 4 {
		t.Errorf("%+v", r)
	}
}

// refusals is a log handler that tells of each upload that is refused.
type refusals struct {
	slog.Handler
	told chan struct{}
}

func (r refusals) Enabled(context.Context, slog.Level) bool { return true }
func (r refusals) WithAttrs([]slog.Attr) slog.Handler       { return r }

func (r refusals) Handle(_ context.Context, record slog.Record) error {
	if record.Message == "image upload refused" {
		r.told <- struct{}{}
	}
	return nil
}

// TestTwoUploaders: the second of one image is told to wait, and takes its turn
// by itself.
func TestTwoUploaders(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	refused := refusals{slog.DiscardHandler, make(chan struct{}, 100)}
	at, done := takesWith(t, f, slog.New(refused), nil)
	first := stream(t, put(t, at, wire.PutRequest{ImageID: "i", FileBytes: 5}))
	second := make(chan error, 1)
	go func() {
		_, err := upload.Send(t.Context(), upload.Config{Server: at, ImageID: "i", Bytes: 6, Timeout: testTimeout}, strings.NewReader("second"))
		second <- err
	}()
	<-refused.told
	io.WriteString(first, "first")
	first.Close()
	if r := done.next(t); r.Err != nil {
		t.Error(r.Err)
	}
	if err := <-second; err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(f.dir, "i")); string(got) != "second" {
		t.Errorf("the image is %q, %v", got, err)
	}
}

// versions is a Receiver whose versions are files of their own.
type versions struct {
	*folder
	newest atomic.Int32
	asked  atomic.Pointer[func()] // once, when Target knows its answer; nil: nothing
}

func (v *versions) Target(ctx context.Context, client netip.Addr, id string) (master.Target, error) {
	target, err := v.folder.Target(ctx, client, fmt.Sprintf("%s.%d", id, v.newest.Load()))
	target.ID = id
	if asked := v.asked.Swap(nil); asked != nil {
		(*asked)()
	}
	return target, err
}

func (v *versions) Create(_ context.Context, _ netip.Addr, t master.Target) (master.Incoming, error) {
	return &version{incoming{folder: v.folder, path: fmt.Sprintf("%s/%s.%d", v.dir, t.ID, v.newest.Load()+1)}, v}, nil
}

type version struct {
	incoming
	all *versions
}

func (v *version) Commit(ctx context.Context, mtime time.Time) error {
	defer v.all.newest.Add(1)
	return v.incoming.Commit(ctx, mtime)
}

// TestStatusAsUploadEnds: who asks while its upload ends is told to ask again
// or of the new version, never of the one before.
func TestStatusAsUploadEnds(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	v := &versions{folder: f}
	at, done := takes(t, f, func(c *master.UploadConfig) { c.Receiver = v })
	for bytes := 1; bytes < 4; bytes++ {
		conn := stream(t, put(t, at, wire.PutRequest{ImageID: "i", FileBytes: uint64(bytes)}))
		end := func() {
			io.WriteString(conn, strings.Repeat("x", bytes))
			conn.Close()
			if r := done.next(t); r.Err != nil {
				t.Error(r.Err)
			}
		}
		v.asked.Store(&end)
		if r := put(t, at, wire.PutRequest{ImageID: "i", Status: 1}); r.Error != wire.MasterOK || r.FileBytes != uint64(bytes) {
			t.Errorf("after %d bytes: %+v", bytes, r)
		}
	}
}

// TestUploadStops: the server's end breaks uploads off.
func TestUploadStops(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	done := make(results, 1)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := master.NewServer(master.ServerConfig{Catalog: dirCatalog{f.dir}, Sessions: newSessions(t, nil, 0), Log: quiet,
		Uploads: master.UploadConfig{Receiver: f, OnDone: func(r master.UploadResult) { done <- r }}})
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	conn := stream(t, put(t, l.Addr().(*net.TCPAddr).AddrPort(), wire.PutRequest{ImageID: "i"}))
	if _, err := io.WriteString(conn, "half"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if r := done.next(t); r.Err == nil {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(filepath.Join(f.dir, "i")); err == nil {
		t.Error("half an image was taken")
	}
}

// TestPutOverEmpty: an empty file, which nobody is sent, keeps no image from taking
// its place.
func TestPutOverEmpty(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(f.dir, "a"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	at, _ := takes(t, f, nil)
	if r := put(t, at, wire.PutRequest{ImageID: "a", Status: 1}); r.Error != wire.MasterOK || !r.Exists || r.FileBytes != 0 {
		t.Errorf("%+v", r)
	}
}

// TestManyStrangers: however many others connect, they keep out nobody who asked.
func TestManyStrangers(t *testing.T) {
	t.Parallel()
	at, done := takes(t, &folder{dir: t.TempDir()}, nil)
	r := put(t, at, wire.PutRequest{ImageID: "a", FileBytes: 5})
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	for range 1500 {
		c, err := stranger.DialContext(t.Context(), "tcp4", netip.AddrPortFrom(r.Addr, r.Port).String())
		if err != nil {
			t.Fatal(err)
		}
		// Until it is closed: those that nobody has taken yet would fill the queue.
		_, _ = c.Read(make([]byte, 1))
		c.Close()
	}
	c := stream(t, r)
	if _, err := c.Write([]byte("image")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if u := done.next(t); u.Err != nil || u.Bytes != 5 {
		t.Errorf("%+v", u)
	}
}

// TestRepeatedWithAnotherTime: who asks again before it sends gets the same port,
// and the image the time that it named last.
func TestRepeatedWithAnotherTime(t *testing.T) {
	t.Parallel()
	f := &folder{dir: t.TempDir()}
	at, done := takes(t, f, nil)
	first := put(t, at, wire.PutRequest{ImageID: "a", FileBytes: 5, MTime: 1000})
	r := put(t, at, wire.PutRequest{ImageID: "a", FileBytes: 5, MTime: 2000})
	if r.Port != first.Port {
		t.Errorf("ports %d and %d", first.Port, r.Port)
	}
	c := stream(t, r)
	if _, err := c.Write([]byte("image")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if u := done.next(t); u.Err != nil {
		t.Fatal(u.Err)
	}
	if info, err := os.Stat(filepath.Join(f.dir, "a")); err != nil || info.ModTime().Unix() != 2000 {
		t.Errorf("%v, %v", info.ModTime(), err)
	}
}
