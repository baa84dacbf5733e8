package dhcp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// memoryLeases is a store whose writes can be held up and made to fail.
type memoryLeases struct {
	mu      sync.Mutex
	records map[netip.Addr]Lease
	batches [][]Lease
	fail    error
	begun   chan struct{} // a value for each Commit, if not nil
	release chan struct{} // taken by each Commit, if not nil
}

func (m *memoryLeases) Commit(ctx context.Context, leases []Lease) error {
	if m.begun != nil {
		m.begun <- struct{}{}
		select {
		case <-m.release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.batches = append(m.batches, slices.Clone(leases))
	if m.records == nil {
		m.records = map[netip.Addr]Lease{}
	}
	for _, l := range leases {
		m.records[l.IP] = l
	}
	return nil
}

func (m *memoryLeases) Load() ([]Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.records)), nil
}

func (m *memoryLeases) stored() [][]Lease {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.batches)
}

func (m *memoryLeases) setFail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

const loopbackSite = `subnet 127.1.0.0/16 serve lease=1h pool=127.1.9.0-127.1.9.63 pool-lease=10m
node pc1 52:54:00:00:00:01 127.1.0.1
node pc2 52:54:00:00:00:02 127.1.0.2
node pc3 52:54:00:00:00:03 127.1.0.3
boot * pxe snponly.efi`

// lab is a running server on loopback and a client socket.
type lab struct {
	t      *testing.T
	server *Server
	stop   func()
	client *net.UDPConn
	to     Endpoint
	events chan Event
}

func newLab(t *testing.T, leases Leases, change func(*Config)) *lab {
	t.Helper()
	site, err := parseSite(strings.Split(loopbackSite, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, events: make(chan Event, 1000)}
	cfg := Config{
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, EphemeralPorts: true, ReplyToSource: true,
		Snapshot: func() Directory { return site }, Leases: leases,
		Served: func(e Event) { l.events <- e }, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	if l.server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.server.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(l.stop)
	l.to = l.server.Endpoints()[0]
	l.client = l.dial("127.0.0.1")
	return l
}

func (l *lab) dial(addr string) *net.UDPConn {
	l.t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(addr)})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	return c
}

// send sends a message as a relay on the lab's network would.
func (l *lab) send(kind MessageType, words string) {
	l.t.Helper()
	l.sendTo(l.to.DHCP, mustBuild(l.t, kind, "giaddr=127.1.0.254 "+words))
}

func (l *lab) sendTo(to netip.AddrPort, data []byte) {
	l.t.Helper()
	if to.Addr().IsUnspecified() {
		to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
	}
	if _, err := l.client.WriteToUDPAddrPort(data, to); err != nil {
		l.t.Fatal(err)
	}
}

const answerTimeout = time.Minute

func (l *lab) read() *Packet {
	l.t.Helper()
	buf := make([]byte, 2000)
	l.client.SetReadDeadline(time.Now().Add(answerTimeout))
	n, err := l.client.Read(buf)
	if err != nil {
		l.t.Fatalf("no answer: %v; %v", err, l.server.Counts())
	}
	return mustParse(l.t, buf[:n])
}

func (l *lab) expect(kind MessageType, ip string) *Packet {
	l.t.Helper()
	p := l.read()
	if p.Type() != kind || p.YIAddr() != netip.MustParseAddr(ip) {
		l.t.Fatalf("got %s %s, want %s %s", p.Type(), p.YIAddr(), kind, ip)
	}
	return p
}

func TestServerDORA(t *testing.T) {
	t.Parallel()
	store := &memoryLeases{}
	l := newLab(t, store, nil)
	l.send(Discover, "mac=52:54:00:00:00:01 xid=1")
	l.expect(Offer, "127.1.0.1")
	l.send(Request, "mac=52:54:00:00:00:01 xid=1 54=127.0.0.1 50=127.1.0.1")
	l.expect(Ack, "127.1.0.1")
	if e := <-l.events; e.Type != Offer || e.Node != "pc1" {
		t.Errorf("first event %+v", e)
	}
	if e := <-l.events; e.Type != Ack || e.IP != netip.MustParseAddr("127.1.0.1") {
		t.Errorf("second event %+v", e)
	}
	l.send(Release, "mac=52:54:00:00:00:01 54=127.0.0.1 ciaddr=127.1.0.1")
	l.send(Discover, "mac=52:54:00:00:00:02")
	l.expect(Offer, "127.1.0.2") // so the RELEASE before it was read
	l.stop()
	batches := store.stored()
	got := batches[len(batches)-1][0]
	if len(batches) != 2 || got.State != LeaseFree || got.Node != "pc1" || got.At.IsZero() {
		t.Errorf("stored %+v", batches)
	}
}

// An ACK never leaves before its lease is stored, and the store does not hold
// up offers.
func TestServerAckWaitsForStore(t *testing.T) {
	t.Parallel()
	store := &memoryLeases{begun: make(chan struct{}), release: make(chan struct{})}
	l := newLab(t, store, nil)
	l.send(Request, "mac=52:54:00:00:00:01 54=127.0.0.1 50=127.1.0.1")
	<-store.begun
	// These wait for the write that is under way, and share the next.
	l.send(Request, "mac=52:54:00:00:00:02 54=127.0.0.1 50=127.1.0.2")
	l.send(Request, "mac=52:54:00:00:00:03 54=127.0.0.1 50=127.1.0.3")
	l.send(Discover, "mac=52:54:00:00:00:02")
	l.expect(Offer, "127.1.0.2") // came in last, was answered first
	store.release <- struct{}{}
	l.expect(Ack, "127.1.0.1")
	<-store.begun
	store.release <- struct{}{}
	l.expect(Ack, "127.1.0.2")
	l.expect(Ack, "127.1.0.3")
	if writes := store.stored(); len(writes) != 2 || len(writes[1]) != 2 {
		t.Errorf("writes: %v", writes)
	}
	l.send(Request, "mac=52:54:00:00:00:03 ciaddr=127.1.0.3")
	l.expect(Ack, "127.1.0.3") // promised already: no write
}

func TestServerStoreFails(t *testing.T) {
	t.Parallel()
	store := &memoryLeases{fail: errors.New("disk is full")}
	l := newLab(t, store, nil)
	l.send(Request, "mac=52:54:00:00:00:01 54=127.0.0.1 50=127.1.0.1")
	for l.server.Counts()[ReasonCommitFailed.String()] == 0 {
		l.send(Discover, "mac=52:54:00:00:00:02")
		l.expect(Offer, "127.1.0.2")
	}
	store.setFail(nil)
	l.send(Request, "mac=52:54:00:00:00:01 54=127.0.0.1 50=127.1.0.1")
	l.expect(Ack, "127.1.0.1")
	if n := l.server.Counts()["sent ack"]; n > 1 {
		t.Errorf("%d ACKs", n)
	}
}

// A restart keeps addresses; a write under way at the end is finished and
// answered.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	store := &memoryLeases{begun: make(chan struct{}), release: make(chan struct{})}
	l := newLab(t, store, nil)
	l.send(Request, "mac=52:54:00:aa:00:01 54=127.0.0.1 50=127.1.9.7")
	<-store.begun
	stopped := make(chan struct{})
	go func() { l.stop(); close(stopped) }()
	store.release <- struct{}{}
	l.expect(Ack, "127.1.9.7")
	<-stopped

	store.begun = nil
	l = newLab(t, store, nil)
	l.send(Request, "mac=52:54:00:aa:00:02 54=127.0.0.1 50=127.1.9.7")
	l.expect(Nak, "0.0.0.0")
	l.send(Request, "mac=52:54:00:aa:00:01 ciaddr=127.1.9.7")
	l.expect(Ack, "127.1.9.7")
	if h := l.server.Holdings(); len(h) != 1 || h[0].State != "bound" || h[0].Remaining < 9*time.Minute {
		t.Errorf("holdings %+v", h)
	}
	if err := l.server.Forget(t.Context(), netip.MustParseAddr("127.1.9.7")); err != nil {
		t.Fatal(err)
	}
	if err := l.server.Forget(t.Context(), netip.MustParseAddr("127.1.9.7")); !errors.Is(err, ErrNotHeld) {
		t.Errorf("second Forget: %v", err)
	}
	l.send(Request, "mac=52:54:00:aa:00:02 54=127.0.0.1 50=127.1.9.7")
	l.expect(Ack, "127.1.9.7")
	l.stop()
	if err := l.server.Forget(t.Context(), netip.MustParseAddr("127.1.9.7")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Forget after the end: %v", err)
	}
}

func TestServerBootServerPort(t *testing.T) {
	t.Parallel()
	l := newLab(t, &memoryLeases{}, nil)
	l.sendTo(l.to.BootServer, mustBuild(t, Request, "mac=52:54:00:00:00:01 ciaddr=127.1.0.1 60=text:PXEClient 93=0007"))
	p := l.expect(Ack, "0.0.0.0")
	if string(p.File()) != "snponly.efi" || p.CIAddr() != netip.MustParseAddr("127.1.0.1") {
		t.Errorf("file %q ciaddr %s", p.File(), p.CIAddr())
	}
	if e := <-l.events; !e.BootServer || e.Class != (Class{Arch: ArchX64EFI, PXE: true}) {
		t.Errorf("event %+v", e)
	}
}

// A socket on an interface learns its own address from each datagram.
func TestServerOnInterface(t *testing.T) {
	t.Parallel()
	l := newLab(t, &memoryLeases{}, func(c *Config) {
		c.Addresses, c.Interfaces = nil, []string{"lo"}
	})
	if l.to.Interface != "lo" {
		t.Fatalf("endpoint %+v", l.to)
	}
	l.send(Discover, "mac=52:54:00:00:00:01")
	id, _ := l.expect(Offer, "127.1.0.1").AddrOption(OptServerID)
	if id != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("server identifier %s", id)
	}
}

// Without ReplyToSource a relay is answered at its address and port.
func TestServerAnswersRelay(t *testing.T) {
	t.Parallel()
	relay, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP("127.1.0.254")})
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	l := newLab(t, &memoryLeases{}, func(c *Config) {
		c.ReplyToSource = false
		c.RelayPort = relay.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	})
	l.send(Discover, "mac=52:54:00:00:00:01")
	l.client = relay
	l.expect(Offer, "127.1.0.1")
	l.send(Discover, "mac=52:54:00:00:00:02 82=1300")
	l.expect(Offer, "127.1.0.2")
}

// Noise and a flood of made-up clients cost bounded memory and silence nobody.
func TestServerFlood(t *testing.T) {
	t.Parallel()
	l := newLab(t, &memoryLeases{}, nil)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		mac := fmt.Sprintf("52:54:%02x:%02x:%02x:%02x", rng.IntN(256), rng.IntN(256), rng.IntN(256), rng.IntN(256))
		message := mustBuild(t, Discover, "giaddr=127.1.0.254 mac="+mac)
		switch i % 3 {
		case 1:
			message = message[:rng.IntN(len(message))]
		case 2:
			for range 20 {
				message[rng.IntN(len(message))] = byte(rng.IntN(256))
			}
		}
		l.sendTo(l.to.DHCP, message)
	}
	l.client = l.dial("127.0.0.1") // leave the answers to the noise behind
	for {
		l.send(Discover, "mac=52:54:00:00:00:01 xid=abcd")
		if p := l.read(); p.XID() == 0xabcd {
			break
		}
	}
	if n := l.server.Counts()["table"]; n > 64+3 {
		t.Errorf("%d addresses in the table, the pool has 64", n)
	}
}

func TestServerExplains(t *testing.T) {
	t.Parallel()
	l := newLab(t, &memoryLeases{}, nil)
	mac, err := ParseHardwareAddr("52-54-00-00-00-02")
	if err != nil {
		t.Fatal(err)
	}
	got := l.server.Explain(Question{Client: mac, Arch: ArchX64EFI, Class: "PXEClient", Local: netip.MustParseAddr("127.1.0.254")})
	for _, want := range []string{"node pc2", "OFFER", "127.1.0.2 for 1h0m0s", `"snponly.efi"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// A server that is not run gives its ports back, and closing twice is nothing.
func TestServerClose(t *testing.T) {
	t.Parallel()
	some := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	cfg := Config{Addresses: some, EphemeralPorts: true, Snapshot: func() Directory { return &testSite{} }, Leases: &memoryLeases{}, Log: slog.New(slog.DiscardHandler)}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at := s.Endpoints()[0].DHCP
	s.Close()
	s.Close()
	again, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	site := func() Directory { return &testSite{} }
	some := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	bad := &memoryLeases{records: map[netip.Addr]Lease{{}: {}}}
	for want, cfg := range map[string]Config{
		"needs Snapshot":       {Addresses: some},
		"no interface":         {Snapshot: site, Leases: &memoryLeases{}},
		"nosuch0":              {Snapshot: site, Leases: &memoryLeases{}, Interfaces: []string{"nosuch0"}},
		"not a lease record":   {Snapshot: site, Leases: bad, Addresses: some, EphemeralPorts: true},
		"listen on 192.0.2.1:": {Snapshot: site, Leases: &memoryLeases{}, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, EphemeralPorts: true},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// The frame made by hand goes out of the interface as it was made. It is read
// by a packet socket: the kernel takes no datagram from 127.0.0.1 off a wire.
func TestRawSocket(t *testing.T) {
	t.Parallel()
	raw, err := newRawSocket()
	if errors.Is(err, unix.EPERM) {
		t.Skip("no CAP_NET_RAW: replies are broadcast instead")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer raw.close()
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Skip(err)
	}
	tap, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(swap16(unix.ETH_P_IP)))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(tap)
	timeout := unix.NsecToTimeval(int64(answerTimeout))
	if err := unix.SetsockoptTimeval(tap, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(tap, &unix.SockaddrLinklayer{Protocol: swap16(unix.ETH_P_IP), Ifindex: lo.Index}); err != nil {
		t.Fatal(err)
	}
	o := &outgoing{reply: mustBuild(t, Offer, "mac=52:54:00:00:00:01 12=text:"+t.Name()), from: netip.MustParseAddr("127.0.0.1"), iface: lo.Index}
	o.dest = Dest{DestHardware, netip.MustParseAddrPort("127.0.0.2:68")}
	if err := raw.send(o, serverPort); err != nil {
		t.Fatal(err)
	}
	want := appendDatagram(nil, netip.AddrPortFrom(o.from, serverPort), o.dest.Addr, o.reply)
	for buf := make([]byte, 1<<16); ; {
		n, _, err := unix.Recvfrom(tap, buf, 0)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(buf[:n], want) {
			return
		}
	}
}

// Control messages are read as the kernel writes them, and a short or lying
// one is not followed past its end.
func TestParseControl(t *testing.T) {
	t.Parallel()
	good := appendPacketInfo(nil, 7, [4]byte{10, 50, 0, 1})
	copy(good[24:28], []byte{255, 255, 255, 255})
	a := parseControl(good)
	if a.iface != 7 || a.local != netip.MustParseAddr("10.50.0.1") || a.dest != netip.MustParseAddr("255.255.255.255") {
		t.Errorf("%+v", a)
	}
	for n := range good {
		parseControl(good[:n])
	}
	for _, length := range []uint64{0, 15, 16, 1 << 40, ^uint64(0)} {
		binary.NativeEndian.PutUint64(good, length)
		parseControl(good)
	}
}

// While the store hangs, what waits for it is bounded, offers go on, and once it
// works again clients that ask again are served.
func TestServerStoreHangs(t *testing.T) {
	t.Parallel()
	store := &memoryLeases{begun: make(chan struct{}, 1<<16), release: make(chan struct{})}
	const nodes = queuedRepliesMax + 1000
	site := bigSite(t, nodes)
	l := newLab(t, store, func(c *Config) {
		c.Snapshot = func() Directory { return site }
		c.Served = nil
	})
	request := func(i int) {
		l.send(Request, fmt.Sprintf("mac=%s 54=127.0.0.1 50=127.1.%d.%d", benchMAC(i), i>>8, i&0xff))
	}
	busy := func() uint64 { return l.server.Counts()[ReasonBusy.String()] }
	for i := 1; busy() == 0; i = i%(nodes-1) + 1 {
		request(i)
	}
	l.send(Discover, "mac="+benchMAC(1))
	if p := l.read(); p.Type() != Offer {
		t.Fatalf("%s while the store hangs", p.Type())
	}
	l.server.mu.Lock()
	waiting := len(l.server.queue)
	l.server.mu.Unlock()
	if waiting > queuedRepliesMax {
		t.Errorf("%d replies wait", waiting)
	}
	close(store.release)
	l.client = l.dial("127.0.0.1") // leave the answers to the flood behind
	for {
		request(nodes - 1)
		l.client.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // then ask again
		buf := make([]byte, 2000)
		if n, err := l.client.Read(buf); err == nil && mustParse(t, buf[:n]).Type() == Ack {
			return
		}
	}
}
