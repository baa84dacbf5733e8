package vnode

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hyzer/bench/tools"
	"hyzer/netsvc/bootinfo"
)

// testTimeout bounds every wait.
const testTimeout = 2 * time.Minute

var testServer = netip.MustParseAddr("127.0.0.1")

// testNodes gives each test a node address of its own, in 127.32.0.0/11.
var testNodes atomic.Uint32

func testAddr() netip.Addr {
	n := uint32(os.Getpid())*31 + testNodes.Add(1)
	return netip.AddrFrom4([4]byte{127, 32 + byte(n>>16)%32, byte(n >> 8), byte(n)})
}

// testNode makes a node that waits for every answer as long as a test may, and
// else for nothing long. Tests of silence say for how long.
func testNode(t *testing.T, change func(*Config)) *Node {
	t.Helper()
	cfg := Config{
		Name: "pc1", MAC: [6]byte{2, 0, 0, 0, 0, 1}, IP: testAddr(), Server: Servers{IP: testServer},
		DiskPath: filepath.Join(t.TempDir(), "disk"), DiskBytes: diskBytesMin,
		Log: slog.New(slog.DiscardHandler),
		Timing: Timing{
			DHCPTries: []time.Duration{testTimeout}, OfferWait: testTimeout,
			BootinfoRetry: testTimeout, BootinfoTries: 2, LoadInfoRetry: time.Millisecond, LoadInfoTries: 2,
			Command: testTimeout, Retry: 10 * time.Millisecond, Reset: time.Hour,
		},
	}
	if change != nil {
		change(&cfg)
	}
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// run starts a node with one of its programs, as if those before it had run.
// The returned function waits until the program has ended by a reset.
func run(t *testing.T, n *Node, first stage) (reset func()) {
	t.Helper()
	ctx, cut := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := &boot{Node: n, ctx: ctx, lease: lease{ip: n.cfg.IP, next: testServer}}
		for stage := first; stage != nil; {
			stage = stage(b)
		}
	}()
	t.Cleanup(func() { cut(); <-ended })
	return func() {
		t.Helper()
		select {
		case <-ended:
		case <-time.After(testTimeout):
			t.Fatalf("no reset; the node is at %+v", n.Last())
		}
	}
}

func await(t *testing.T, n *Node, phase Phase) Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	e, err := n.Await(ctx, phase)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// fakeBootinfo answers each request with the next of its packets.
type fakeBootinfo struct {
	conn   *net.UDPConn
	asked  atomic.Int32
	marked chan struct{} // a packet of one byte has come
}

// serveBootinfo starts one; a reply function gets the number of the request,
// from 0, and returns what to send to the node.
func serveBootinfo(t *testing.T, reply func(n int) [][]byte) (*fakeBootinfo, uint16) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(testServer, 0)))
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeBootinfo{conn: conn, marked: make(chan struct{}, 1)}
	var serving sync.WaitGroup
	serving.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if n == 1 {
				f.marked <- struct{}{}
				continue
			}
			for _, p := range reply(int(f.asked.Add(1)) - 1) {
				_, _ = conn.WriteToUDPAddrPort(p, netip.AddrPortFrom(from.Addr(), bootinfo.ClientPort)) // a loss
			}
		}
	})
	t.Cleanup(func() { conn.Close(); serving.Wait() })
	return f, conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// heard counts the requests that were sent until now: those that came before a
// packet that it sends itself.
func (f *fakeBootinfo) heard(t *testing.T) int32 {
	t.Helper()
	if _, err := f.conn.WriteToUDPAddrPort([]byte{0}, f.conn.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		t.Fatal(err)
	}
	<-f.marked
	return f.asked.Load()
}

func packet(t *testing.T, k bootinfo.Packet) []byte {
	t.Helper()
	b, err := k.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func reply(t *testing.T, a bootinfo.Answer) []byte {
	return packet(t, bootinfo.Packet{Version: 1, Opcode: bootinfo.OpReply, Answer: a})
}

// fakeTMCD remembers commands and answers from a table.
type fakeTMCD struct {
	mu       sync.Mutex
	commands []string
	bodies   map[string]string
}

func serveTMCD(t *testing.T, replies map[string]string) (*fakeTMCD, uint16) {
	t.Helper()
	at := netip.AddrPortFrom(testServer, tools.Ports(t, 1))
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	alive, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeTMCD{bodies: map[string]string{}}
	var serving sync.WaitGroup
	serving.Go(func() { answerAlive(alive) })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			request, _ := io.ReadAll(c) // to its half-close
			_, _ = io.WriteString(c, replies[f.note(string(request))])
			c.Close()
		}
	})
	t.Cleanup(func() { l.Close(); alive.Close(); serving.Wait() })
	return f, at.Port()
}

// answerAlive answers what the watchdog asks.
func answerAlive(conn *net.UDPConn) {
	for {
		_, from, err := conn.ReadFromUDPAddrPort(make([]byte, 2000))
		if err != nil {
			return
		}
		_, _ = conn.WriteToUDPAddrPort([]byte("UPDATE=0\n"), from)
	}
}

// note takes a request apart and returns its command word.
func (f *fakeTMCD) note(request string) string {
	text, _ := strings.CutPrefix(request, "VERSION=44 ")
	word, args, _ := strings.Cut(text, " ")
	f.mu.Lock()
	defer f.mu.Unlock()
	if word == "bootlog" {
		f.bodies[word] = args
		args = ""
	}
	f.commands = append(f.commands, strings.TrimSpace(word+" "+args))
	return word
}

func (f *fakeTMCD) wantCommands(t *testing.T, want ...string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.commands, want) {
		t.Errorf("commands\n%s\nwant\n%s", strings.Join(f.commands, "\n"), strings.Join(want, "\n"))
	}
}

func (f *fakeTMCD) body(command string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bodies[command]
}
