package tftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/bootfiles"
)

// answerTimeMax bounds the wait for an answer that must come.
const answerTimeMax = time.Minute

// rawClient speaks single packets to a server.
type rawClient struct {
	t    *testing.T
	conn *net.UDPConn
}

func newRawClient(t *testing.T, local string) *rawClient {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &rawClient{t, conn}
}

func (c *rawClient) send(to netip.AddrPort, b []byte) {
	c.t.Helper()
	if _, err := c.conn.WriteToUDPAddrPort(b, to); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawClient) recv() (Packet, netip.AddrPort) {
	c.t.Helper()
	buf := make([]byte, 65536)
	c.conn.SetReadDeadline(time.Now().Add(answerTimeMax))
	n, from, err := c.conn.ReadFromUDPAddrPort(buf)
	if err != nil {
		c.t.Fatal(err)
	}
	p, err := Parse(buf[:n])
	if err != nil {
		c.t.Fatal(err)
	}
	return p, from
}

func rrq(name string, options ...Option) []byte {
	return Packet{Op: OpRRQ, Name: name, Mode: modeOctet, Options: options}.Append(nil)
}

func ack(block uint16) []byte { return Packet{Op: OpAck, Block: block}.Append(nil) }

// TestRefusals sends what must be answered with an ERROR and its code.
func TestRefusals(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string][]byte{"f": content(10), "sub/g": nil})
	c := newRawClient(t, "127.0.0.1:0")
	for _, x := range []struct {
		in   string
		code Code
	}{
		{"\x00\x01absent\x00octet\x00", CodeNotFound},
		{"\x00\x01../f\x00octet\x00", CodeAccess},
		{"\x00\x01..\\f\x00octet\x00", CodeAccess},
		{"\x00\x01/etc/passwd\x00octet\x00", CodeNotFound},
		{"\x00\x01sub\x00octet\x00", CodeAccess},
		{"\x00\x01" + strings.Repeat("a", 400) + "\x00octet\x00", CodeAccess},
		{"\x00\x01" + strings.Repeat("a", 600) + "\x00octet\x00", CodeIllegal},
		{"\x00\x01f\x1b[2J\x00octet\x00", CodeAccess},
		{"\x00\x01\x00octet\x00", CodeAccess},
		{"\x00\x01f\x00mail\x00", CodeIllegal},
		{"\x00\x01f\x00octet", CodeIllegal},
		{"\x00\x01f", CodeIllegal},
		{"\x00\x02f\x00octet\x00tsize\x00999\x00", CodeAccess},
		{"\x00\x02f", CodeAccess},
	} {
		c.send(s.addr, []byte(x.in))
		p, _ := c.recv()
		if p.Op != OpError || p.Code != x.code || strings.Contains(p.Message, s.root) || strings.Contains(p.Message, "/") {
			t.Errorf("%.30q: %+v, want ERROR %d", x.in, p, x.code)
		}
	}
}

// TestSilence sends what must not be answered: no reflection, no ERROR loops.
func TestSilence(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string][]byte{"f": content(10)})
	c := newRawClient(t, "127.0.0.1:0")
	for _, in := range []string{"", "\x00", "\x00\x09", "junk", "\x00\x04\x00\x01", "\x00\x03\x00\x01data", "\x00\x05\x00\x01err\x00", "\x00\x06a\x00b\x00"} {
		c.send(s.addr, []byte(in))
	}
	c.send(s.addr, rrq("f"))
	p, tid := c.recv() // the first answer is to the last packet
	if p.Op != OpData || p.Block != 1 {
		t.Fatalf("%+v", p)
	}
	stranger := newRawClient(t, "127.0.0.1:0")
	stranger.send(tid, Packet{Op: OpError, Code: CodeUnknownTID}.Append(nil))
	stranger.send(tid, []byte("x"))
	stranger.send(tid, ack(1))
	if p, _ := stranger.recv(); p.Op != OpError || p.Code != CodeUnknownTID {
		t.Errorf("ACK of a third TID: %+v", p)
	}
	c.send(tid, ack(1))
	if d := <-s.done; d.Err != nil || d.Bytes != 10 {
		t.Errorf("the stranger disturbed the transfer: %+v", d)
	}
}

// TestRepeatedRequest: a request that comes twice is one transfer, a new one
// from the same port replaces the old.
func TestRepeatedRequest(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string][]byte{"f": content(600), "g": content(700)})
	c := newRawClient(t, "127.0.0.1:0")
	for range 3 {
		c.send(s.addr, rrq("f"))
	}
	p, tid := c.recv()
	if p.Op != OpData || p.Block != 1 {
		t.Fatalf("%+v", p)
	}
	c.send(s.addr, rrq("g"))
	p, tid2 := c.recv() // and not a second copy of f's block
	if p.Op != OpData || !bytes.Equal(p.Data, content(700)[:512]) {
		t.Fatalf("%+v", p)
	}
	if tid2 != tid {
		t.Errorf("TIDs %v and %v", tid, tid2)
	}
	if d := <-s.done; !errors.Is(d.Err, errReplaced) || d.Name != "f" {
		t.Errorf("%+v", d)
	}
	if st := s.server.Stats(); st.Repeated != 2 || st.Active != 1 {
		t.Errorf("%+v", st)
	}
}

// TestProbe is EDK2's size question: no failure.
func TestProbe(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string][]byte{"f": content(850528)})
	size, err := Client{Server: s.addr, BlockBytes: 1468, Window: 4}.Size(t.Context(), "f")
	if err != nil || size != 850528 {
		t.Errorf("size %d, %v", size, err)
	}
	if d := <-s.done; !d.Probe || d.Err != nil {
		t.Errorf("%+v", d)
	}
	if st := s.server.Stats(); st.Probes != 1 || st.Failures != 0 {
		t.Errorf("%+v", st)
	}
}

func TestClientAbort(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string][]byte{"f": content(5000)})
	c := newRawClient(t, "127.0.0.1:0")
	c.send(s.addr, rrq("f"))
	_, tid := c.recv()
	c.send(tid, ack(1))
	c.recv()
	c.send(tid, Packet{Op: OpError, Code: CodeDiskFull, Message: "disk\x1b[2J full"}.Append(nil))
	d := <-s.done
	if !errors.Is(d.Err, ErrClientAborted) || strings.Contains(d.Err.Error(), "\x1b") || d.Bytes != 512 {
		t.Errorf("%+v", d)
	}
}

// TestAnswersFromAddressAsked: the server listens on every address and answers
// from the one that was asked.
func TestAnswersFromAddressAsked(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp4", "udp"} {
		conn, err := net.ListenUDP(network, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := startSite(t, Config{Conn: conn}, map[string][]byte{"f": content(100_000)})
		asked := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.77"), s.addr.Port())
		c := newRawClient(t, "127.0.0.9:0")
		c.send(asked, rrq("f"))
		p, from := c.recv()
		if p.Op != OpData || from.Addr() != asked.Addr() || from.Port() == asked.Port() {
			t.Errorf("%s: asked %v, answer from %v: %+v", network, asked, from, p.Op)
		}
		var got bytes.Buffer
		client := Client{Server: asked, BlockBytes: 1432, Window: 16}
		if _, err := client.Get(t.Context(), "f", &got); err != nil || !bytes.Equal(got.Bytes(), content(100_000)) {
			t.Errorf("%s: windows: %v", network, err)
		}
	}
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Skipf("no IPv6 on this machine: %v", err)
	}
	s := startSite(t, Config{Conn: conn}, map[string][]byte{"f": content(100_000)})
	c := Client{Server: s.server.Addr(), BlockBytes: 1432, Window: 16}
	var got bytes.Buffer
	if _, err := c.Get(t.Context(), "f", &got); err != nil || !bytes.Equal(got.Bytes(), content(100_000)) {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{TransfersMax: 3, TransfersPerClientMax: 2}, map[string][]byte{"f": content(5000)})
	var open []*rawClient
	for _, local := range []string{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.2:0"} {
		c := newRawClient(t, local)
		c.send(s.addr, rrq("f"))
		c.recv()
		open = append(open, c)
	}
	newRawClient(t, "127.0.0.1:0").send(s.addr, rrq("f")) // third of one address
	newRawClient(t, "127.0.0.3:0").send(s.addr, rrq("f")) // fourth in all
	open[0].send(s.addr, []byte("\x00\x02w\x00octet\x00"))
	if p, _ := open[0].recv(); p.Code != CodeAccess { // answered after the two above
		t.Fatalf("%+v", p)
	}
	if st := s.server.Stats(); st.Dropped != 2 || st.Active != 3 {
		t.Errorf("%+v", st)
	}
}

func TestNetascii(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string][]byte{"f": []byte("a\nb\rc\r\n"), "big": make([]byte, netasciiBytesMax+1), "empty": nil})
	c := newRawClient(t, "127.0.0.1:0")
	for name, want := range map[string]string{"f": "a\r\nb\r\x00c\r\x00\r\n", "empty": ""} {
		c.send(s.addr, []byte("\x00\x01"+name+"\x00NetASCII\x00"))
		p, tid := c.recv()
		if p.Op != OpData || string(p.Data) != want {
			t.Errorf("%s: %+v", name, p)
		}
		c.send(tid, ack(1))
	}
	c.send(s.addr, []byte("\x00\x01big\x00netascii\x00"))
	if p, _ := c.recv(); p.Op != OpError || p.Code != CodeIllegal {
		t.Errorf("%+v", p)
	}
}

// TestFileShrinks: the client gets an ERROR, never a short file.
func TestFileShrinks(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string][]byte{"f": content(5 * readAheadBytes)})
	c := newRawClient(t, "127.0.0.1:0")
	c.send(s.addr, rrq("f"))
	p, tid := c.recv()
	if err := os.Truncate(filepath.Join(s.root, "f"), 700); err != nil {
		t.Fatal(err)
	}
	for p.Op == OpData && len(p.Data) == blockBytesDefault {
		c.send(tid, ack(p.Block))
		p, _ = c.recv()
	}
	if p.Op != OpError {
		t.Errorf("%+v", p)
	}
	if d := <-s.done; !errors.Is(d.Err, errFileShrank) {
		t.Errorf("%+v", d)
	}
}

// slowFiles opens nothing before ctx ends.
type slowFiles struct{ asked chan string }

func (f slowFiles) Open(ctx context.Context, _ netip.Addr, name string) (bootfiles.File, error) {
	f.asked <- name
	<-ctx.Done()
	return nil, fmt.Errorf("too slow: %w", ctx.Err())
}

// TestShutdown: Run returns although a file is being opened and a transfer is
// under way, and both clients hear of it.
func TestShutdown(t *testing.T) {
	t.Parallel()
	files := slowFiles{make(chan string, 1)}
	s := New(Config{Files: files, Addr: netip.MustParseAddrPort("127.0.0.1:0"), Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.Run(ctx) }()
	<-s.Ready()
	c := newRawClient(t, "127.0.0.1:0")
	c.send(s.Addr(), rrq("f"))
	<-files.asked
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if p, _ := c.recv(); p.Op != OpError {
		t.Errorf("%+v", p)
	}
	if st := s.Stats(); st.Active != 0 {
		t.Errorf("%+v", st)
	}
}

func TestClientErrors(t *testing.T) {
	t.Parallel()
	s := startSite(t, Config{}, map[string][]byte{"f": content(5000)})
	var remote *RemoteError
	if _, err := (Client{Server: s.addr}).Get(t.Context(), "absent", &bytes.Buffer{}); !errors.As(err, &remote) || remote.Code != CodeNotFound {
		t.Errorf("absent file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Client{Server: s.addr}).Get(ctx, "f", &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := (Client{Server: s.addr, BytesMax: 4000}).Get(t.Context(), "f", &bytes.Buffer{}); err == nil {
		t.Error("a file over the limit was taken")
	}
	deaf := newRawClient(t, "127.0.0.1:0").conn.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, err := (Client{Server: deaf, Timeout: time.Millisecond, Tries: 2}).Get(t.Context(), "f", &bytes.Buffer{}); err == nil {
		t.Error("a deaf server served")
	}
}

// TestReceiverVerifies holds what the client must not believe.
func TestReceiverVerifies(t *testing.T) {
	t.Parallel()
	asked := []Option{{"blksize", "1432"}, {"tsize", "0"}, {"windowsize", "4"}}
	for _, granted := range []Option{{"blksize", "1433"}, {"blksize", "7"}, {"windowsize", "5"}, {"windowsize", "0"}, {"timeout", "1"}, {"tsize", "-1"}, {"tsize", "x"}} {
		if r := newReceiver(asked).oack([]Option{granted}); !errors.Is(r.err, errOack) {
			t.Errorf("granted %v: %+v", granted, r)
		}
	}
	r := newReceiver(asked)
	r.oack([]Option{{"tsize", "600"}})
	r.data(1, content(512))
	if out := r.data(2, content(10)); out.err == nil || out.done {
		t.Errorf("522 bytes of 600: %+v", out)
	}
}
