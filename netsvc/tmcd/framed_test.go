package tmcd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/tmc2"
)

// rawFramed speaks TMC2 frame by frame.
type rawFramed struct {
	tb   testing.TB
	conn net.Conn
	buf  []byte
	tag  bool // the server's preamble was read
	at   int
}

// opening is what a client sends first.
func opening(boot byte) []byte {
	h := tmc2.UsualHello()
	h.BootID[0] = boot
	return tmc2.AppendFrame([]byte(tmc2.Preamble), tmc2.Frame{Type: tmc2.TypeHello, Payload: tmc2.AppendHello(nil, &h)})
}

func framedRequest(stream uint32, id uint64, words ...string) []byte {
	r := tmc2.Request{ID: id, Command: []byte(words[0])}
	for _, w := range words[1:] {
		r.Args = append(r.Args, []byte(w))
	}
	return tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeRequest, Flags: tmc2.FlagEnd, Stream: stream, Payload: tmc2.AppendRequest(nil, &r)})
}

func dialFramed(tb testing.TB, s *Server, from string, boot byte) *rawFramed {
	tb.Helper()
	r := &rawFramed{tb: tb, conn: dial(tb, s, from)}
	r.send(opening(boot))
	if f, err := r.next(); err != nil || f.Type != tmc2.TypeHello {
		tb.Fatalf("first frame %v, %v", f.Type, err)
	}
	return r
}

func (r *rawFramed) send(b []byte) {
	r.tb.Helper()
	if _, err := r.conn.Write(b); err != nil {
		r.tb.Fatal(err)
	}
}

// next returns a copy of the next frame.
func (r *rawFramed) next() (tmc2.Frame, error) {
	for {
		if !r.tag && len(r.buf) >= 4 {
			if string(r.buf[:4]) != tmc2.Preamble {
				return tmc2.Frame{}, fmt.Errorf("preamble %q", r.buf[:4])
			}
			r.tag, r.at = true, 4
		}
		if r.tag {
			f, n, err := tmc2.DecodeFrame(r.buf[r.at:], tmc2.PayloadBytesUsual)
			if err == nil {
				r.at += n
				f.Payload = bytes.Clone(f.Payload)
				return f, nil
			}
			if !errors.Is(err, tmc2.ErrIncomplete) {
				return f, err
			}
		}
		r.buf = append(r.buf[:0], r.buf[r.at:]...)
		r.at = 0
		chunk := make([]byte, 4096)
		n, err := r.conn.Read(chunk)
		r.buf = append(r.buf, chunk[:n]...)
		if n == 0 && err != nil {
			return tmc2.Frame{}, err
		}
	}
}

// answer reads up to a STATUS and prints it as "code reply".
func (r *rawFramed) answer() string {
	r.tb.Helper()
	var reply []byte
	for {
		f, err := r.next()
		if err != nil {
			return err.Error()
		}
		switch f.Type {
		case tmc2.TypeReply:
			reply = append(reply, f.Payload...)
		case tmc2.TypeStatus:
			status, err := tmc2.DecodeStatus(f.Payload)
			if err != nil {
				return err.Error()
			}
			return fmt.Sprintf("%d %d %s", f.Stream, status.Code, reply)
		case tmc2.TypeGoAway:
			g, _ := tmc2.DecodeGoAway(f.Payload)
			return fmt.Sprintf("goaway %d", g.Code)
		}
	}
}

// TestFramedAnswers asks on one connection for each node.
func TestFramedAnswers(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, nil)
	for i, tc := range []struct {
		from   string
		words  []string
		want   string
		effect string
	}{
		{"127.0.1.1", []string{"status"}, "1 0 ALLOCATED=p/e NICKNAME=a\n", ""},
		{"127.0.1.2", []string{"status"}, "1 0 FREE\n", ""},
		{"127.0.1.3", []string{"status"}, "1 20 ", ""},
		{"127.0.1.1", []string{"nonsense"}, "1 10 ", ""},
		{"127.0.1.2", []string{"ifconfig"}, "1 21 ", ""},
		{"127.0.1.1", []string{"tpmdummy"}, "1 24 ", ""},
		{"127.0.1.1", []string{"state", "ISUP"}, "1 1 ", "n1 tmcd ISUP"},
		{"127.0.1.1", []string{"state"}, "1 11 ", ""},
		{"127.0.1.1", []string{"booterrno", "--", "-1"}, "1 1 ", "n1 errno"},
		{"127.0.1.1", []string{"bootlog-stream"}, "1 10 ", ""}, // no store of live logs here
		{"127.0.1.1", []string{"nodeid", strings.Repeat("x", 32<<10)}, "1 12 ", ""},
	} {
		c := dialFramed(t, s, tc.from, 1)
		c.send(framedRequest(1, uint64(i), tc.words...))
		if got := c.answer(); got != tc.want {
			t.Errorf("%s %.20v: %q, want %q", tc.from, tc.words, got, tc.want)
		}
		if got := strings.Join(effects.taken(), "; "); got != tc.effect {
			t.Errorf("%s %.20v: effects %q, want %q", tc.from, tc.words, got, tc.effect)
		}
		c.conn.Close()
	}
}

// TestFramedSplits cuts a whole conversation in two at every byte.
func TestFramedSplits(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, nil)
	all := opening(0)
	all = append(all, framedRequest(1, 1, "status")...)
	all = append(all, framedRequest(3, 2, "state", "TBSETUP")...)
	all = append(all, framedRequest(5, 3, "nodeid")...)
	log := tmc2.Request{ID: 4, Command: []byte("bootlog")}
	all = tmc2.AppendFrame(all, tmc2.Frame{Type: tmc2.TypeRequest, Stream: 7, Payload: tmc2.AppendRequest(nil, &log)})
	all = tmc2.AppendFrame(all, tmc2.Frame{Type: tmc2.TypeData, Stream: 7, Payload: []byte("some ")})
	all = tmc2.AppendFrame(all, tmc2.Frame{Type: tmc2.TypeData, Flags: tmc2.FlagEnd, Stream: 7, Payload: []byte("text")})
	for at := 1; at < len(all); at++ {
		c := &rawFramed{tb: t, conn: dial(t, s, "127.0.1.1")}
		c.send(all[:at])
		waitUntilSent(t, c.conn.(*net.TCPConn))
		c.send(all[at:])
		for _, want := range []string{"1 0 ALLOCATED=p/e NICKNAME=a\n", "3 1 ", "5 0 n1\n", "7 1 "} {
			if got := c.answer(); got != want {
				t.Fatalf("cut at %d: %q, want %q", at, got, want)
			}
		}
		if got := strings.Join(effects.taken(), "; "); got != "n1 tmcd TBSETUP" || effects.log("n1") != "some text" {
			t.Fatalf("cut at %d: effects %q, log %q", at, got, effects.log("n1"))
		}
		c.conn.(*net.TCPConn).CloseWrite()
		if _, err := c.next(); err != io.EOF {
			t.Fatalf("cut at %d: end %v", at, err)
		}
		c.conn.Close()
	}
}

// TestFramedOnce repeats a request after its connection was lost.
func TestFramedOnce(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, nil)
	for i, tc := range []struct {
		boot byte
		id   uint64
		runs int
	}{{1, 7, 1}, {1, 7, 0}, {2, 7, 1}, {1, 8, 1}, {1, 8, 0}, {0, 9, 1}, {0, 9, 1}} {
		c := dialFramed(t, s, "127.0.1.1", tc.boot)
		c.send(framedRequest(1, tc.id, "state", "ISUP"))
		if got := c.answer(); got != "1 1 " {
			t.Errorf("%d: %q", i, got)
		}
		if did := effects.taken(); len(did) != tc.runs {
			t.Errorf("%d: effects %q, want %d", i, did, tc.runs)
		}
		c.conn.Close()
	}
	// A failed one is tried again.
	c := dialFramed(t, s, "127.0.1.1", 3)
	effects.fail(errors.New("disk full"))
	c.send(framedRequest(1, 1, "state", "ISUP"))
	if got := c.answer(); got != "1 42 " {
		t.Error(got)
	}
	effects.fail(nil)
	c.send(framedRequest(3, 1, "state", "ISUP"))
	if got, did := c.answer(), effects.taken(); got != "3 1 " || len(did) != 1 {
		t.Error(got, did)
	}
}

// TestFramedLoaderVersion: a loader that cannot wait is told something else.
func TestFramedLoaderVersion(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	c := dialFramed(t, s, "127.0.1.2", 1)
	answers := map[string]string{}
	for i, version := range []string{"none", "1", "0"} {
		r := tmc2.Request{ID: uint64(i), Command: []byte("bootwhat"), HasLoaderVersion: version != "none"}
		if version == "1" {
			r.LoaderVersion = 1
		}
		c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeRequest, Flags: tmc2.FlagEnd, Stream: uint32(2*i + 1), Payload: tmc2.AppendRequest(nil, &r)}))
		answers[version] = c.answer()[2:]
	}
	if answers["none"] != answers["1"] || answers["1"] == answers["0"] || !strings.Contains(answers["1"], "TYPE=4") {
		t.Errorf("%q", answers)
	}
}

// TestFramedAnswersAreBounded: what is kept does not grow with what is asked,
// and its size is counted rightly.
func TestFramedAnswersAreBounded(t *testing.T) {
	t.Parallel()
	a := newAnswers()
	for i := range answersMax * 3 / 2 {
		x, first := a.claim(answerKey{node: fmt.Sprint(i % 1000), boot: tmc2.BootID{1}, id: uint64(i)})
		if !first {
			t.Fatal(i)
		}
		x.reply = make([]byte, i%3*1000)
		a.settle(x, i%5 != 0)
	}
	bytes := 0
	for _, x := range a.byKey {
		bytes += len(x.reply)
	}
	if a.bytes != bytes || bytes > answersBytesMax || len(a.byKey) > answersMax || len(a.byKey) != a.all.Len() || len(a.byNode) > 1000 {
		t.Errorf("%d answers, %d in order, %d bytes, counted %d", len(a.byKey), a.all.Len(), bytes, a.bytes)
	}
}

// TestFramedETag: what the node has is not sent again.
func TestFramedETag(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	c := dialFramed(t, s, "127.0.1.1", 1)
	r := tmc2.Request{ID: 1, Flags: tmc2.FlagWantETag, Command: []byte("status")}
	c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeRequest, Flags: tmc2.FlagEnd, Stream: 1, Payload: tmc2.AppendRequest(nil, &r)}))
	if f, err := c.next(); err != nil || f.Type != tmc2.TypeReply {
		t.Fatal(f, err)
	}
	f, _ := c.next()
	status, err := tmc2.DecodeStatus(f.Payload)
	if err != nil || status.ETag == 0 {
		t.Fatal(status, err)
	}
	r.ETag = status.ETag
	c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeRequest, Flags: tmc2.FlagEnd, Stream: 3, Payload: tmc2.AppendRequest(nil, &r)}))
	if got := c.answer(); got != "3 2 " {
		t.Error(got)
	}
}

// TestFramedBrokenRules: each ends the connection with a word.
func TestFramedBrokenRules(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	frame := func(f tmc2.Frame) []byte { return tmc2.AppendFrame(nil, f) }
	bad := framedRequest(1, 1, "status")
	bad[tmc2.HeaderBytes] ^= 1
	body := tmc2.Request{ID: 1, Command: []byte("nodeid")}
	open := frame(tmc2.Frame{Type: tmc2.TypeRequest, Stream: 1, Payload: tmc2.AppendRequest(nil, &body)})
	for _, tc := range []struct {
		name string
		send []byte
		want string
	}{
		{"even stream", framedRequest(2, 1, "status"), "goaway 13"},
		{"checksum", bad, "goaway 13"},
		{"second HELLO", frame(tmc2.Frame{Type: tmc2.TypeHello}), "goaway 13"},
		{"data of no stream", frame(tmc2.Frame{Type: tmc2.TypeData, Stream: 1}), "goaway 13"},
		{"malformed request", frame(tmc2.Frame{Type: tmc2.TypeRequest, Stream: 1}), "goaway 13"},
		{"too large", []byte{0, 1, 0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, "goaway 13"},
		{"unknown type", append(frame(tmc2.Frame{Type: 77, Stream: 9}), framedRequest(1, 1, "nodeid")...), "1 0 n1\n"},
		{"cancel", append(bytes.Clone(open), frame(tmc2.Frame{Type: tmc2.TypeCancel, Stream: 1})...), "1 45 "},
		{"long body", append(bytes.Clone(open), frame(tmc2.Frame{Type: tmc2.TypeData, Stream: 1, Payload: make([]byte, 40<<10)})...), "1 12 "},
	} {
		c := dialFramed(t, s, "127.0.1.1", 1)
		c.send(tc.send)
		if got := c.answer(); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		c.conn.Close()
	}
}

// TestFramedStreamsAreBounded opens more bodies than may be open.
func TestFramedStreamsAreBounded(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	c := dialFramed(t, s, "127.0.1.1", 1)
	r := tmc2.Request{ID: 1, Command: []byte("nodeid")}
	for i := range uint32(framedStreams + 1) {
		c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeRequest, Stream: 2*i + 1, Payload: tmc2.AppendRequest(nil, &r)}))
	}
	if got := c.answer(); got != "65 40 " {
		t.Error(got)
	}
}

// TestFramedConnectionsPerNode: the fifth connection of a node is told to come
// again, while another node gets in, and so does text.
func TestFramedConnectionsPerNode(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	for range framedPerNodeMax {
		dialFramed(t, s, "127.0.1.1", 1)
	}
	c := dialFramed(t, s, "127.0.1.1", 1)
	if got := c.answer(); got != "goaway 40" {
		t.Error(got)
	}
	dialFramed(t, s, "127.0.1.2", 1)
	if reply, err := ask(t, dial(t, s, "127.0.1.1"), true, "VERSION=44 nodeid "); reply != "n1\n" {
		t.Error(reply, err)
	}
}

// TestFramedIdleConnections opens a thousand from the appliance itself, which
// may; text is still answered beside them.
func TestFramedIdleConnections(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	for i := range 1000 {
		conn, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(i, err)
		}
		t.Cleanup(func() { conn.Close() })
		c := &rawFramed{tb: t, conn: conn}
		c.send(opening(1))
		if f, err := c.next(); err != nil || f.Type != tmc2.TypeHello {
			t.Fatal(i, f.Type, err)
		}
	}
	s.framed.mu.Lock()
	open := len(s.framed.conns)
	s.framed.mu.Unlock()
	if open > framedConnectionsMax || open < 999 {
		t.Errorf("%d connections", open)
	}
	if reply, err := ask(t, dial(t, s, "127.0.1.1"), true, "VERSION=44 nodeid "); reply != "n1\n" {
		t.Error(reply, err)
	}
}

// TestFramedSaysGoodbye when the server stops.
func TestFramedSaysGoodbye(t *testing.T) {
	t.Parallel()
	s, _ := startServer(t, nil)
	c := dialFramed(t, s, "127.0.1.1", 1)
	c.send(framedRequest(1, 1, "nodeid")) // the connection is entered
	c.answer()
	s.framed.stop()
	if got := c.answer(); got != "goaway 44" {
		t.Error(got)
	}
}

// TestFramedTimeouts in virtual time: how long a client may be slow.
func TestFramedTimeouts(t *testing.T) {
	t.Parallel()
	whole := append(opening(1), framedRequest(1, 1, "nodeid")...)
	for _, tc := range []struct {
		name  string
		send  []byte
		pause time.Duration // before each byte
		want  time.Duration
	}{
		{"never a hello", nil, 0, headTimeout},
		{"a hello byte by byte", whole, time.Second, headTimeout},
		{"quiet after a request", whole, 0, framedIdleTimeout},
		{"half a frame", whole[:len(whole)-1], 0, framedFrameTimeout},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, _ := startServer(t, nil)
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				var work sync.WaitGroup
				work.Go(func() {
					for i := range tc.send {
						if tc.pause > 0 {
							time.Sleep(tc.pause)
						}
						if _, err := client.Write(tc.send[i : i+1]); err != nil {
							return
						}
					}
				})
				work.Go(func() { _, _ = io.Copy(io.Discard, client) })
				start := time.Now()
				in := &inbound{conn: server, until: start.Add(headTimeout), quiet: quietTimeout}
				if _, err := in.greeting(); err == nil {
					if c, err := s.openFramed(in, origin{from: netip.MustParseAddr("127.0.1.1")}); err == nil {
						c.serve()
					}
				}
				if took := time.Since(start); took != tc.want {
					t.Errorf("served for %v, want %v", took, tc.want)
				}
				server.Close()
				client.Close()
				work.Wait()
			})
		})
	}
}

// TestFramedDatagrams asks over UDP.
func TestFramedDatagrams(t *testing.T) {
	t.Parallel()
	s, effects := startServer(t, nil)
	for _, tc := range []struct {
		from  string
		words []string
		want  string
		did   string
	}{
		{"127.0.1.1", []string{"status"}, "0 ALLOCATED=p/e NICKNAME=a\n", ""},
		{"127.0.1.1", []string{"state", "ISUP"}, "1 ", "n1 tmcd ISUP"},
		{"127.0.1.3", []string{"status"}, "20 ", ""},
		{"127.0.1.1", []string{"ntpinfo"}, "15 ", ""},
		{"127.0.1.1", []string{"bootlog"}, "15 ", ""},
	} {
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: net.ParseIP(tc.from)}, net.UDPAddrFromAddrPort(s.Addrs()[0]))
		if err != nil {
			t.Fatal(err)
		}
		r := tmc2.Request{ID: 1, Command: []byte(tc.words[0])}
		for _, w := range tc.words[1:] {
			r.Args = append(r.Args, []byte(w))
		}
		request := tmc2.AppendDatagram(nil, &tmc2.Datagram{Fragments: 1, ID: 9, Payload: tmc2.AppendRequest(nil, &r)})
		for range 2 { // the second is a repetition
			if _, err := conn.Write(request); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 2048)
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			d, err := tmc2.DecodeDatagram(buf[:n])
			if got := fmt.Sprintf("%d %s", d.Code, d.Payload); err != nil || got != tc.want || d.ID != 9 {
				t.Errorf("%s %v: %q, %v", tc.from, tc.words, got, err)
			}
			if d.Code == tmc2.CodeUnknownNode && n > len(request) {
				t.Errorf("a stranger's %d bytes are answered with %d", len(request), n)
			}
		}
		if got := strings.Join(effects.taken(), "; "); got != tc.did {
			t.Errorf("%v: effects %q, want %q", tc.words, got, tc.did)
		}
		conn.Close()
	}
}
