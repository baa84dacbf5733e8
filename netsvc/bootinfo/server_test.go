package bootinfo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hyzer/netsvc/bootinfo"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// reporter is a Reporter that a test holds up or fails.
type reporter struct {
	mu   sync.Mutex
	got  []string
	hold chan struct{} // nil: nobody waits
	err  error
	came chan string
	wait time.Duration // of answers; 0: as ever
}

func (r *reporter) Report(ctx context.Context, node, source string, states ...string) error {
	r.mu.Lock()
	hold, err := r.hold, r.err
	r.got = append(r.got, node+" "+source+" "+strings.Join(states, ","))
	r.mu.Unlock()
	if r.came != nil {
		r.came <- node
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (r *reporter) Expect(node, source string) func(context.Context, kv.Revision, ...string) (*registry.NodeState, error) {
	return func(ctx context.Context, _ kv.Revision, states ...string) (*registry.NodeState, error) {
		if len(states) == 0 {
			return nil, nil
		}
		return &registry.NodeState{}, r.Report(ctx, node, source, states...)
	}
}

func (r *reporter) AwaitReports(context.Context, string) {}

func (r *reporter) reports() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// bench is a server on a loopback address of its own, with a free node at each
// client address.
type bench struct {
	t       testing.TB
	server  *bootinfo.Server
	at      netip.AddrPort // to send to
	reports *reporter

	stop func() // ends the server; once is enough

	mu  sync.Mutex
	now time.Time
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func newBench(t testing.TB, listen netip.Addr, r *reporter, clients ...netip.Addr) *bench {
	t.Helper()
	file := &registry.SiteFile{Types: []registry.NodeType{{Name: "pc"}}}
	for i, ip := range clients {
		file.Nodes = append(file.Nodes, registry.Node{ID: fmt.Sprint("pc", i), Type: "pc",
			Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: ip}}})
	}
	snapshot := registry.NewSnapshot(file)
	b := newBenchOn(t, bootinfo.Config{Addr: netip.AddrPortFrom(listen, freePort(t, listen)), Reports: r, AnswerWait: r.wait,
		Snapshot: func() *registry.Snapshot { return snapshot }, Log: slog.New(slog.DiscardHandler)})
	b.reports = r
	return b
}

func newBenchOn(t testing.TB, config bootinfo.Config) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Unix(1e9, 0)}
	config.Now = b.clock
	var err error
	b.server, err = bootinfo.New(config)
	if err != nil {
		t.Fatal(err)
	}
	b.at = b.server.Addr()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.server.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

func freePort(t testing.TB, ip netip.Addr) uint16 {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// loader listens where loaders do, and sends from another port.
type loader struct {
	b        *bench
	in, from *net.UDPConn
}

func (b *bench) loader(ip netip.Addr) *loader {
	b.t.Helper()
	l := &loader{b: b}
	for _, end := range []struct {
		conn **net.UDPConn
		port uint16
	}{{&l.in, bootinfo.ClientPort}, {&l.from, 0}} {
		conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, end.port)))
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { conn.Close() })
		*end.conn = conn
	}
	return l
}

func (l *loader) ask(packet []byte) {
	l.b.t.Helper()
	if _, err := l.from.WriteToUDPAddrPort(packet, l.b.at); err != nil {
		l.b.t.Fatal(err)
	}
}

var question = bootinfo.AppendRequest(nil, bootinfo.Request{Version: 1, Opcode: bootinfo.OpRequest})

// answer returns the next packet and who sent it.
func (l *loader) answer() (bootinfo.Packet, netip.AddrPort) {
	l.b.t.Helper()
	l.in.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 2*bootinfo.PacketBytes)
	n, from, err := l.in.ReadFromUDPAddrPort(buf)
	if err != nil {
		l.b.t.Fatal(err)
	}
	packet, err := bootinfo.DecodePacket(buf[:n])
	if err != nil {
		l.b.t.Fatal(err)
	}
	return packet, from
}

// silent reports whether nothing has come; call it after a later question of
// another loader was answered.
func (l *loader) silent() bool {
	l.in.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, _, err := l.in.ReadFromUDPAddrPort(make([]byte, 1))
	return errors.Is(err, context.DeadlineExceeded) || err != nil && err.(net.Error).Timeout()
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// TestAnswerAddress: the answer goes to the client port, and comes from the
// address that was asked, also on a wildcard socket.
func TestAnswerAddress(t *testing.T) {
	t.Parallel()
	client := ip("127.69.1.1")
	b := newBench(t, netip.IPv4Unspecified(), &reporter{}, client)
	b.at = netip.AddrPortFrom(ip("127.69.1.200"), b.at.Port())
	l := b.loader(client)
	l.ask(question)
	packet, from := l.answer()
	if from != b.at || packet.Answer.Type != bootinfo.TypeWait || packet.Opcode != bootinfo.OpReply {
		t.Errorf("answer %+v from %s, want WAIT from %s", packet, from, b.at)
	}
}

// TestReportOncePer10s: every question is answered; one in ten seconds is
// reported.
func TestReportOncePer10s(t *testing.T) {
	t.Parallel()
	client := ip("127.69.2.1")
	b := newBench(t, ip("127.69.2.200"), &reporter{wait: time.Hour}, client)
	l := b.loader(client)
	for i, pause := range []time.Duration{0, time.Second, 8 * time.Second, 2 * time.Second, -time.Hour} {
		b.pass(pause)
		l.ask(question)
		l.answer()
		if got, want := len(b.reports.reports()), []int{1, 1, 1, 2, 2}[i]; got != want {
			t.Errorf("question %d: %d reports, want %d", i+1, got, want)
		}
	}
	if got := b.reports.reports()[0]; got != "pc0 bootinfo PXEBOOTING,PXEWAIT" {
		t.Errorf("report %q", got)
	}
}

// TestReportBeforeAnswer: the answer waits until the report is durable, and
// another loader's question is served meanwhile.
func TestReportBeforeAnswer(t *testing.T) {
	t.Parallel()
	first, second, stranger := ip("127.69.3.1"), ip("127.69.3.2"), ip("127.69.3.3")
	r := &reporter{hold: make(chan struct{}), came: make(chan string, 2), wait: time.Hour}
	b := newBench(t, ip("127.69.3.200"), r, first, second)
	one, two, other := b.loader(first), b.loader(second), b.loader(stranger)
	one.ask(question)
	two.ask(question)
	nodes := []string{<-r.came, <-r.came} // both reports are under way at once
	slices.Sort(nodes)
	if !slices.Equal(nodes, []string{"pc0", "pc1"}) {
		t.Errorf("reports of %v", nodes)
	}
	other.ask(question)
	other.answer()
	if !one.silent() || !two.silent() {
		t.Error("answered before the report was durable")
	}
	close(r.hold)
	one.answer()
	two.answer()
}

// TestAnswerWhenTheStoreHangs: a report that takes too long does not keep the
// loader waiting, and is answered once.
func TestAnswerWhenTheStoreHangs(t *testing.T) {
	t.Parallel()
	client := ip("127.69.4.1")
	r := &reporter{hold: make(chan struct{})}
	b := newBench(t, ip("127.69.4.200"), r, client)
	l := b.loader(client)
	l.ask(question)
	l.answer()
	if n := b.server.Counters().ReportsLate.Load(); n != 1 {
		t.Errorf("%d late reports, want 1", n)
	}
	close(r.hold)
	b.pass(time.Minute)
	l.ask(question)
	l.answer()
	if !l.silent() {
		t.Error("a question was answered twice")
	}
}

// TestFailedReport: it is answered, and the next question reports again.
func TestFailedReport(t *testing.T) {
	t.Parallel()
	client := ip("127.69.5.1")
	b := newBench(t, ip("127.69.5.200"), &reporter{err: errors.New("disk full"), wait: time.Hour}, client)
	l := b.loader(client)
	for range 2 {
		l.ask(question)
		l.answer()
	}
	if got := len(b.reports.reports()); got != 2 || b.server.Counters().ReportsFailed.Load() != 2 {
		t.Errorf("%d reports, %d failed, want 2", got, b.server.Counters().ReportsFailed.Load())
	}
}

// TestBadPackets are dropped, and change nothing for the next one.
func TestBadPackets(t *testing.T) {
	t.Parallel()
	client := ip("127.69.6.1")
	b := newBench(t, ip("127.69.6.200"), &reporter{}, client)
	l := b.loader(client)
	for _, bad := range [][]byte{{}, {1, 0, 1}, question[:7], append([]byte{1, 0, 2}, question[3:]...), append([]byte{0, 1, 0, 1}, question[4:]...),
		append([]byte{1, 0, 6}, question[3:]...), append(append([]byte{1, 0, 6, 0, 0, 0, 0, 0}, strings.Repeat("k", 129)...), 0)} {
		l.ask(bad)
	}
	l.ask(append(slices.Clone(question), make([]byte, 60_000)...))
	if packet, _ := l.answer(); packet.Answer.Type != bootinfo.TypeWait {
		t.Errorf("answer %+v", packet)
	}
	b.stop() // what was sent is counted
	if c := b.server.Counters(); c.Dropped.Load() != 7 || c.Requests.Load() != 8 || c.Replies.Load() != 1 {
		t.Errorf("dropped %d of %d, answered %d; want 7 of 8, 1", c.Dropped.Load(), c.Requests.Load(), c.Replies.Load())
	}
}

// TestAddressInUse is an error of New, with the address.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	b := newBench(t, ip("127.69.7.200"), &reporter{})
	_, err := bootinfo.New(bootinfo.Config{Addr: b.at})
	if err == nil || !strings.Contains(err.Error(), b.at.String()) {
		t.Errorf("error %v", err)
	}
}

// TestOrder: an order comes from the order port of the server's address.
func TestOrder(t *testing.T) {
	t.Parallel()
	client, server := ip("127.69.8.1"), ip("127.69.8.200")
	b := newBench(t, server, &reporter{}, client)
	l := b.loader(client)
	if err := bootinfo.SendOrder(t.Context(), server, client, bootinfo.OrderWakeup); err != nil {
		t.Fatal(err)
	}
	packet, from := l.answer()
	if from != netip.AddrPortFrom(server, bootinfo.OrderPort) || packet.Opcode != bootinfo.OpOrder || packet.Answer.Type != bootinfo.TypeAuto {
		t.Errorf("order %+v from %s", packet, from)
	}
}
