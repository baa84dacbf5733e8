package standalone

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/multicast/client"
	"hyzer/multicast/server"
)

// TestOptions is every option, right and wrong.
func TestOptions(t *testing.T) {
	t.Parallel()
	const base = "-m 239.1.2.3 -p 3564 "
	for _, c := range []struct {
		args string
		want func(*command) bool // nil: refused
	}{
		{base + "f", func(c *command) bool {
			return c.first == 3564 && c.last == 3564 && c.file == "f" && c.cfg.Linger == 30*time.Minute && c.cfg.ReadBlocks == 32 && c.cfg.Pace == server.Pace{Burst: 16, Gap: 2 * time.Millisecond}
		}},
		{"-m239.1.2.3 -p 0 f", func(c *command) bool { return c.first == 0 && c.last == 0 }},
		{"-m 239.1.2.3 -p 10-20 f", func(c *command) bool { return c.first == 10 && c.last == 20 }},
		{base + "-i 10.0.0.1 f", func(c *command) bool { return c.cfg.Iface.String() == "10.0.0.1" }},
		{base + "-i localhost f", func(c *command) bool { return c.cfg.Iface.String() == "127.0.0.1" }},
		{base + "-b f", func(c *command) bool { return c.cfg.Broadcast }},
		{"-m 255.255.255.255 -p 1 f", func(c *command) bool { return c.cfg.Broadcast }},
		{base + "-dd f", func(c *command) bool { return c.debug }},
		{base + "-k 512 f", func(c *command) bool { return c.cfg.SocketBufferBytes == 512<<10 }},
		{base + "-B 8 -G 1000 f", func(c *command) bool { return c.cfg.Pace == server.Pace{Burst: 8, Gap: time.Millisecond} }},
		{base + "-G 0 f", func(c *command) bool { return c.cfg.Pace.Gap < 0 }},
		{base + "-W 60000000 -B 3 f", func(c *command) bool { return c.cfg.Pace == server.Pace{BitsPerSec: 60_000_000} }},
		{base + "-D f", func(c *command) bool { return c.cfg.Pace.Dynamic }},
		{base + "-R 64 f", func(c *command) bool { return c.cfg.ReadBlocks == 64 }},
		{base + "-T 5 f", func(c *command) bool { return c.cfg.Linger == 5*time.Second }},
		{base + "-T 0 f", func(c *command) bool { return c.cfg.Linger == 0 }},
		{base + "-T -1 f", func(c *command) bool { return c.cfg.Linger == server.LingerLastClient }},
		{base + "-K 15 f", func(c *command) bool { return c.cfg.Keepalive == 15*time.Second }},
		{base + "-A a f", func(c *command) bool { return c.addressFile == "a" }},
		{base + "-H 3 f", func(c *command) bool { return c.cfg.HeartbeatSeconds == 3 }},
		// What is too much or too little counts as the most or the least, as it did.
		{base + "-k 9999 f", func(c *command) bool { return c.cfg.SocketBufferBytes == bufferKBMax<<10 }},
		{base + "-k 0 f", func(c *command) bool { return c.cfg.SocketBufferBytes == 0 }},
		{base + "-H 3601 f", func(c *command) bool { return c.cfg.HeartbeatSeconds == heartbeatMax }},
		{base + "-B 0 f", func(c *command) bool { return c.cfg.Pace.Burst == 1 }},
		{base + "-W 0 f", func(c *command) bool { return c.cfg.Pace == server.Pace{Burst: 16, Gap: 2 * time.Millisecond} }},
		{base + "-R 0 f", func(c *command) bool { return true }},
		{base + "-T -2 f", func(c *command) bool { return c.cfg.Linger == server.LingerLastClient }},
		{base + "-E host f", func(c *command) bool { return c.eventServer == "host" && c.trace == nil }},
		{base + "-t f", func(c *command) bool { return c.trace != nil && c.cfg.Trace != nil }},
		{base, nil}, {base + "f g", nil}, {"-p 1 f", nil}, {"-m 239.1.2.3 f", nil}, {"-m group -p 1 f", nil}, {"-m 239.1.2.3 -p 20-10 f", nil},
		{base + "-L x f", nil}, {base + "-h", nil}, {base + "-x f", nil}, {base + "-k -1 f", nil}, {base + "-H x f", nil}, {base + "-B -1 f", nil},
		{base + "-W -1 f", nil}, {base + "-i ::1 f", nil}, {base + "-K x f", nil},
	} {
		cmd := newCommand()
		err := cmd.parse(strings.Fields(c.args))
		if (err == nil) != (c.want != nil) || c.want != nil && !c.want(cmd) {
			t.Errorf("%s: %+v, %v", c.args, cmd, err)
		}
	}
}

// TestServe: a file is sent to a client, the address is written down, and the
// counts are in the old program's words.
func TestServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcdef"), 5000)
	file, at := filepath.Join(dir, "f"), filepath.Join(dir, "addr")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCommand()
	if err := c.parse([]string{"-m", "239.192.79.9", "-p", "0", "-i", "127.0.0.1", "-T", "-1", "-G", "0", "-t", "-E", "boss", "-H", "1", "-R", "8", "-A", at, file}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx, &out) }()
	text := ""
	for ctx.Err() == nil && !strings.HasSuffix(text, "\n\x00") {
		b, _ := os.ReadFile(at)
		text = string(b)
	}
	session, err := netip.ParseAddrPort(strings.TrimSuffix(text, "\n\x00"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Create(filepath.Join(dir, "got"))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	local := netip.MustParseAddr("127.0.0.1")
	if _, err := client.Run(ctx, client.Config{Address: session, Iface: local, ShareHost: true, Raw: true, Sink: client.RawSink{W: got}}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	back, err := os.ReadFile(got.Name())
	if err != nil || !bytes.Equal(back, data) {
		t.Errorf("%d bytes, %v", len(back), err)
	}
	// On a busy machine a client asks twice for what is late.
	for _, want := range []string{`  joins/leaves:      [1-9]\d*/`, `  1k blocks sent:    \d{2,} \(\d+ repeated\)`, "  file:size           " + regexp.QuoteMeta(file) + ":80000", "Exiting!",
		"Bound to 239.192.79.9:", `127.0.0.1 \(id \d+, image .*\) joins \(v2\) at `, `leaves at .*  0 active clients\nClient \d+ Performance:`,
		`  file read size      8 blocks\n`, `  file reads: +\d{2,} \(\d+ bytes,`, `\d: JOIN2 from 127.0.0.1\n`, `\d: sent BLOCK: chunk 0, block 0, `} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// TestHangup: SIGHUP ends the session, with the exit status of a failure as the
// old one had it. SIGTERM is its good end.
func TestHangup(t *testing.T) {
	dir := t.TempDir()
	file, at := filepath.Join(dir, "f"), filepath.Join(dir, "addr")
	if err := os.WriteFile(file, []byte("image"), 0o600); err != nil {
		t.Fatal(err)
	}
	for sig, want := range map[unix.Signal]int{unix.SIGHUP: exitFailed, unix.SIGTERM: 0} {
		var out bytes.Buffer
		ended := make(chan int, 1)
		go func() {
			ended <- Main([]string{"-m", "239.192.79.10", "-p", "0", "-i", "127.0.0.1", "-A", at, file}, nil, nil, &out)
		}()
		for t.Context().Err() == nil { // signals are caught from before that file is there
			if _, err := os.Stat(at); err == nil {
				break
			}
		}
		if err := unix.Kill(os.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
		if status := <-ended; status != want || !strings.Contains(out.String(), "Exiting!") {
			t.Errorf("%v: exit status %d, want %d\n%s", sig, status, want, &out)
		}
		if err := os.Remove(at); err != nil {
			t.Error(err)
		}
	}
}
