package upload

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/multicast/wire"
)

// sink is an upload server that takes one stream.
func sink(t *testing.T) (netip.AddrPort, func() ([]byte, error)) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		data []byte
		err  error
	}
	got := make(chan result, 1)
	go func() {
		defer l.Close()
		c, err := l.Accept()
		if err != nil {
			got <- result{nil, err}
			return
		}
		defer c.Close()
		data, err := io.ReadAll(c)
		got <- result{data, err}
	}()
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).AddrPort(), func() ([]byte, error) { r := <-got; return r.data, r.err }
}

// TestStreamFails: what could not be read to its end is reset, so that nobody
// takes it for the whole.
func TestStreamFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is broken")
	for name, from := range map[string]io.Reader{
		"error":   io.MultiReader(strings.NewReader("half"), failing{broken}),
		"shorter": strings.NewReader("half"),
	} {
		at, got := sink(t)
		_, err := Stream(t.Context(), Config{Bytes: 8}, at, from)
		if !errors.Is(err, ErrCut) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := got(); err == nil {
			t.Errorf("%s: the server saw a whole stream", name)
		}
	}
	at, got := sink(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Stream(ctx, Config{}, at, io.MultiReader(strings.NewReader("half"), stopping(cancel), &endless{}))
	if !errors.Is(err, ErrCut) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := got(); err == nil {
		t.Error("cancelled: the server saw a whole stream")
	}
}

// TestStalled: what makes the image keeps nobody waiting who was told to stop.
func TestStalled(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, len("half")))
		}
		cancel()
		if err == nil {
			_, err = io.Copy(io.Discard, c)
		}
		got <- err
	}()
	in, maker := io.Pipe()
	defer maker.Close()
	go maker.Write([]byte("half"))
	from, err := waitFor(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	if _, err := Stream(ctx, Config{}, at, &dotter{from, io.Discard, 0}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := <-got; err == nil {
		t.Error("the server saw a whole stream")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type stopping func()

func (s stopping) Read([]byte) (int, error) { s(); return 0, io.EOF }

type endless struct{}

func (*endless) Read(p []byte) (int, error) { return len(p), nil }

func TestCommandDirect(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, []byte("image"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, "-"} {
		at, got := sink(t)
		var out, errs bytes.Buffer
		status := Main([]string{"-o", "-S", "127.0.0.1", "-p", portOf(at), name}, strings.NewReader("image"), &out, &errs)
		data, err := got()
		if status != 0 || string(data) != "image" || err != nil || !strings.Contains(out.String(), "<NONE>: upload completed after 5 bytes in ") {
			t.Errorf("%s: status %d, got %q %v\n%s%s", name, status, data, err, &out, &errs)
		}
	}
}

func portOf(at netip.AddrPort) string { _, p, _ := net.SplitHostPort(at.String()); return p }

// TestOptions is every option, right and wrong.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want func(*command) bool // nil: refused
	}{
		{"-S 10.0.0.1 -F id f", func(c *command) bool {
			return c.config.Server.String() == "10.0.0.1:64494" && c.config.ImageID == "id" && !c.status && c.file == "f"
		}},
		{"-S localhost -P localhost -F id f", func(c *command) bool {
			return c.config.Server.String() == "127.0.0.1:64494" && c.config.For.String() == "127.0.0.1"
		}},
		{"-S 10.0.0.1 -p 5 -Q id f", func(c *command) bool { return c.status && c.config.Server.Port() == 5 }},
		{"-S 10.0.0.1 -Q id", func(c *command) bool { return c.status }},
		{"-S 10.0.0.1 -p 5 f", func(c *command) bool { return c.config.ImageID == "" }},
		{"-S10.0.0.1 -F id -b 4096 f", func(c *command) bool { return c.config.BufferBytes == 4096 }},
		{"-S 10.0.0.1 -F id -k 65536 f", func(c *command) bool { return c.config.SocketBytes == 65536 }},
		{"-S 10.0.0.1 -F id -I 7 f", func(c *command) bool { return c.config.Idle == 7*time.Second }},
		{"-S 10.0.0.1 -F id -T 7 f", func(c *command) bool { return c.config.timeout() == 7*time.Second }},
		{"-S 10.0.0.1 -F id -Nod f", func(c *command) bool { return c.config.NoVerify && c.dots }},
		{"-S 10.0.0.1 -F id -P 10.0.0.2 -", func(c *command) bool { return c.config.For.String() == "10.0.0.2" && c.file == "-" }},
		{"-F id f", nil}, {"-S 10.0.0.1 -F id", nil}, {"-S 10.0.0.1 f", nil}, {"-S 10.0.0.1 -F id f g", nil},
		{"-S ::1 -F id f", nil}, {"-S 10.0.0.1 -p 0 f", nil}, {"-S 10.0.0.1 -s -F id f", nil}, {"-h", nil}, {"-x", nil},
		{"-S 10.0.0.1 -F " + strings.Repeat("x", 257) + " f", nil}, {"-S 10.0.0.1 -b 0 -F id f", nil}, {"-S 10.0.0.1 -T -1 -F id f", nil},
	} {
		cmd := &command{}
		err := cmd.parse(strings.Fields(c.args))
		if (err == nil) != (c.want != nil) || c.want != nil && !c.want(cmd) {
			t.Errorf("%s: %+v, %v", c.args, cmd, err)
		}
	}
}

// TestVerifyTries: the larger the image, the longer the server may be busy with it.
func TestVerifyTries(t *testing.T) {
	t.Parallel()
	for sent, want := range map[int64]int{0: 10, 1 << 20: 10, 20_000_000_000: 10 + 596} {
		if got := verifyTries(sent); got != want {
			t.Errorf("%d bytes: %d tries, want %d", sent, got, want)
		}
	}
}

// TestTimeout is the C client's rule.
func TestTimeout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bytes int64
		asked time.Duration
		want  time.Duration
		wire  uint32
	}{
		{0, 0, 0, 0}, {1, 0, 10 * time.Second, 12}, {2405129, 0, 10 * time.Second, 12},
		{100 << 20, 0, 100 * time.Second, 102}, {100 << 20, 5 * time.Second, 5 * time.Second, 7},
	} {
		cfg := Config{Bytes: c.bytes, Timeout: c.asked}
		if got, told := cfg.timeout(), cfg.query(0).Request.TimeoutS; got != c.want || told != c.wire {
			t.Errorf("%+v: %v, told %d", c, got, told)
		}
	}
}

// TestCommandRefused: what the master server refuses, or that there is none, has
// the old program's exit status.
func TestCommandRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusal := wire.PutReply{Error: wire.MasterNoAccess}
	answered := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.ReadFull(c, make([]byte, wire.MasterPutRequest.Bytes()))
			err = errors.Join(err, func() error { _, err := c.Write(refusal.Append(nil)); return err }(), c.Close())
		}
		answered <- errors.Join(err, l.Close())
	}()
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, []byte("image"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-S", "127.0.0.1", "-p", portOf(l.Addr().(*net.TCPAddr).AddrPort()), "-F", "id", file}
	for _, want := range []string{"access not allowed", "connection refused"} {
		var out, errs bytes.Buffer
		if status := Main(args, nil, &out, &errs); status != exitMaster || !strings.Contains(errs.String(), want) {
			t.Errorf("status %d: %s", status, &errs)
		}
		if want == "access not allowed" {
			if err := <-answered; err != nil {
				t.Fatal(err)
			}
		}
	}
}
