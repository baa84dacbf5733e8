package tmcd

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// badInput is one class of the shared specs' list of what strangers and broken
// clients send (page reliability, section 3, tmcd), and what must come of it.
type badInput struct {
	name string
	try  func(t *testing.T, b *boss)
}

// TestBadInput has a row for each class. After each, the server answers others
// as before, has not panicked, and the state logs are whole.
func TestBadInput(t *testing.T) {
	t.Parallel()
	run := func(rows []badInput, timeouts Timeouts) {
		for _, row := range rows {
			t.Run(row.name, func(t *testing.T) {
				t.Parallel()
				row.run(t, timeouts)
			})
		}
	}
	run(badEnds(), Timeouts{Quiet: 100 * time.Millisecond, LateBody: 50 * time.Millisecond})
	run(append(badFraming(), append(badIdentity(), badText()...)...), Timeouts{})
}

func (row badInput) run(t *testing.T, timeouts Timeouts) {
	b := newBoss(t, 3, func(c *Config) { c.Timeouts = timeouts })
	b.Report("pc0", "BOOTING", "TBSETUP")
	row.try(t, b)
	b.want("127.0.1.3", "VERSION=44 nodeid ", "pc2\n")
	if n := b.server.Counters().Panics.Load(); n > 0 {
		t.Errorf("%d panics", n)
	}
	b.CheckLog("pc0")
}

// badEnds are requests that end when the client has been quiet for a while.
func badEnds() []badInput {
	return []badInput{
		{"no terminator", func(t *testing.T, b *boss) {
			b.want("127.0.1.1", "VERSION=44 nodeid", "pc0\n")
			if reply, err := ask(t, dial(t, b.server, "127.0.1.1"), false, "VERSION=44 nodeid"); err != nil || reply != "pc0\n" {
				t.Errorf("without half-close: %q, %v", reply, err)
			}
		}},
		{"half-close and no half-close", func(t *testing.T, b *boss) {
			for _, halfClose := range []bool{true, false} {
				for _, request := range []string{"VERSION=44 nodeid ", "VERSION=21 nodeid ", "nodeid\n"} {
					if reply, err := ask(t, dial(t, b.server, "127.0.1.1"), halfClose, request); err != nil || reply != "pc0\n" {
						t.Errorf("%q, half-close %v: %q, %v", request, halfClose, reply, err)
					}
				}
			}
		}},
	}
}

func badFraming() []badInput {
	big := strings.Repeat("0123456789abcde\n", 10<<20/16)
	return []badInput{
		{"split at every byte offset", func(t *testing.T, b *boss) { // all golden ones: TestGoldenSplits
			const request = "VNODEID=pc0 VERSION=44 status "
			for at := range request {
				reply, err := ask(t, dial(t, b.server, "127.0.1.1"), true, request[:at], request[at:])
				if err != nil || reply != "ALLOCATED=sys/user NICKNAME=pc0\n" {
					t.Errorf("cut at %d: %q, %v", at, reply, err)
				}
			}
		}},
		{"16 KB + 1", func(t *testing.T, b *boss) {
			b.want("127.0.1.1", "VERSION=44 nodeid "+strings.Repeat("x", 16<<10+1), "pc0\n")
			text := strings.Repeat("y", 16<<10+1)
			b.want("127.0.1.1", "VERSION=44 bootlog "+text, "")
			if got := b.logText("pc0"); got != text {
				t.Errorf("%d bytes stored", len(got))
			}
		}},
		{"10 MB BOOTLOG", func(t *testing.T, b *boss) {
			b.want("127.0.1.1", "VERSION=44 bootlog "+big, "")
			if got := b.logText("pc0"); got != big {
				t.Errorf("%d bytes stored of %d", len(got), len(big))
			}
		}},
		{"slow-loris 1 B/s", slowLoris},
		{"1,000 parallel connections from one IP", manyConnections},
	}
}

// slowLoris sends a byte per second, in virtual time, and is dropped at the
// deadline of a head without having been anybody.
func slowLoris(t *testing.T, b *boss) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		var writer sync.WaitGroup
		writer.Go(func() {
			for range 60 {
				time.Sleep(time.Second)
				if _, err := client.Write([]byte("V")); err != nil {
					return
				}
			}
		})
		start := time.Now()
		s := &Server{cfg: b.server.cfg, handler: b.server.handler}
		s.cfg.Timeouts = Timeouts{}.withDefaults()
		err := s.serveConn(server, nodeAddr(0))
		if took := time.Since(start); err == nil || took != headTimeout {
			t.Errorf("%v after %v, want an error after %v", err, took, headTimeout)
		}
		server.Close()
		writer.Wait()
	})
}

// manyConnections are answered or reset, and others do not notice.
func manyConnections(t *testing.T, b *boss) {
	var asking sync.WaitGroup
	for range 1000 {
		asking.Go(func() {
			conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, 1)}}).Dial("tcp", b.addr.String())
			if err != nil {
				return // reset before it was seen
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "VERSION=21 nodeid "); err != nil {
				return
			}
			reply, err := io.ReadAll(conn)
			if err == nil && string(reply) != "pc0\n" || err != nil && !errors.Is(err, unix.ECONNRESET) {
				t.Errorf("%q, %v", reply, err)
			}
		})
	}
	b.want("127.0.1.2", "VERSION=44 nodeid ", "pc1\n")
	asking.Wait()
}

func badIdentity() []badInput {
	return []badInput{
		{"REDIRECT= from non-local", func(t *testing.T, b *boss) {
			b.want("127.0.1.1", "REDIRECT=127.0.1.2 VERSION=44 nodeid ", "")
			b.want("127.0.1.1", "REDIRECT=127.0.1.2 VERSION=44 state ISUP ", "")
			if at := b.At("pc1"); at != "NORMALv2/SHUTDOWN" {
				t.Errorf("pc1 is in %s", at)
			}
		}},
		{"VNODE= of another node", func(t *testing.T, b *boss) {
			for _, tag := range []string{"VNODEID", "PROXYFOR"} {
				b.want("127.0.1.1", tag+"=pc1 VERSION=44 nodeid ", "")
				b.want("127.0.1.1", tag+"=pc1 VERSION=44 booterrno 9 ", "")
			}
			if run := b.Reg.Snapshot().Runtime("pc1"); run != nil && run.BootErrno != 0 {
				t.Errorf("pc1 has boot errno %d", run.BootErrno)
			}
		}},
		{"PRIVKEY= of 127/128/129 chars", func(t *testing.T, b *boss) {
			for length, reply := range map[int]string{15: "", 127: "", 128: "pc0\n", 129: "pc0\n", 2000: "pc0\n"} { // cut at 128, as in C
				b.want("127.0.1.99", "PRIVKEY="+strings.Repeat("a", length)+" VERSION=44 nodeid ", reply)
			}
			b.want("127.0.1.99", "PRIVKEY="+strings.Repeat("a", 127)+"g VERSION=44 nodeid ", "")
		}},
		{"UDP spoof of isalive", func(t *testing.T, b *boss) {
			udp := func(from, request string) {
				conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(from)}, net.UDPAddrFromAddrPort(b.addr))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				// What is answered last shows that the first got nothing.
				for _, text := range []string{request, "VERSION=44 VNODEID=pc1 isalive ", "REDIRECT=127.0.1.2 isalive "} {
					if _, err := io.WriteString(conn, text); err != nil {
						t.Fatal(err)
					}
				}
			}
			udp("127.0.1.99", "VERSION=44 isalive ")
			udp("127.0.1.3", "VERSION=44 nosuch ")
			b.want("127.0.1.1", "VERSION=44 isalive ", "UPDATE=0\n")
			if s := b.Reg.Snapshot().Status("pc1"); s.Status != "" {
				t.Errorf("pc1 is %+v", s)
			}
		}},
	}
}

func badText() []badInput {
	refused := func(args ...string) func(*testing.T, *boss) {
		return func(t *testing.T, b *boss) {
			for _, arg := range args {
				b.want("127.0.1.1", "VERSION=44 state "+arg+" ", "")
			}
			if log := b.CheckLog("pc0"); log[len(log)-1].To != "TBSETUP" {
				t.Errorf("the last entry is %+v", log[len(log)-1])
			}
		}
	}
	return []badInput{
		{"format characters", func(t *testing.T, b *boss) {
			refused("%s%n%x%99999d", "%!s(MISSING)")(t, b)
			b.want("127.0.1.1", "VERSION=44 bootlog %s%n%x", "")
			if got := b.logText("pc0"); got != "%s%n%x" {
				t.Errorf("stored %q", got)
			}
		}},
		{"UTF-8 junk into event names", refused("ISUP\xff\xfe", "ÜBER", "\u202eISUP", "I\u0301SUP", strings.Repeat("A", stateBytesMax+1))},
		{"state names unknown", func(t *testing.T, b *boss) {
			b.want("127.0.1.1", "VERSION=44 state NOSUCHSTATE ", "")
			log := b.CheckLog("pc0")
			if last := log[len(log)-1]; last.To != "NOSUCHSTATE" && last.Reported != "NOSUCHSTATE" || !last.Invalid {
				t.Errorf("the last entry is %+v", last)
			}
			b.want("127.0.1.1", "VERSION=44 state ISUP ", "")
			if at := b.At("pc0"); at != "NORMALv2/ISUP" {
				t.Errorf("pc0 is in %s", at)
			}
		}},
		{"out-of-order state", func(t *testing.T, b *boss) {
			b.want("127.0.1.1", "VERSION=44 state ISUP ", "")
			b.want("127.0.1.1", "VERSION=44 state BOOTING ", "") // without SHUTDOWN
			log := b.CheckLog("pc0")
			if last := log[len(log)-1]; last.From != "ISUP" {
				t.Errorf("the last entry is %+v", last)
			}
		}},
		{"replay of old state", func(t *testing.T, b *boss) {
			b.want("127.0.1.1", "VERSION=44 state ISUP ", "")
			for range 3 {
				b.want("127.0.1.1", "VERSION=44 state TBSETUP ", "")
			}
			replayed := 0
			for _, e := range b.CheckLog("pc0") {
				if e.From == "ISUP" && e.To == "TBSETUP" {
					replayed++
					if !e.Invalid {
						t.Errorf("a replay was taken for good: %+v", e)
					}
				}
			}
			if replayed != 1 { // the others repeat what the node is in
				t.Errorf("%d replays in the log", replayed)
			}
		}},
		{"log injection (ANSI, newline)", func(t *testing.T, b *boss) {
			for _, request := range []string{"VERSION=44 \x1b[31mstatus ", "VERSION=44 nosuch\x1b]0;x\x07 ", "VERSION=44 state ISUP\x1b[2J\nlevel=ERROR msg=forged ", "VNODEID=x\x1b[1m VERSION=44 status ", "VERSION=44 \u009b2Jx "} {
				b.want("127.0.1.1", request, "")
			}
			for line := range strings.Lines(b.said.String()) {
				if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\x1b\x07\u009b") || strings.Contains(line, "level=ERROR") {
					t.Errorf("log line %q", line)
				}
			}
		}},
	}
}
