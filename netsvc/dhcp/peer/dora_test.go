package peer

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"hyzer/netsvc/dhcp"
)

// BenchmarkDORA measures whole exchanges (four messages, each client new) in a
// closed loop over loopback, ours and the library's server4 in one run. "file"
// makes every lease durable with fdatasync before its ACK; server4 stores
// nothing at all. Both ends share the processors.
func BenchmarkDORA(b *testing.B) {
	for _, outstanding := range []int{1, 64, 256} {
		name := map[int]string{1: "clients=1", 64: "clients=64", 256: "clients=256"}[outstanding]
		b.Run("server=hyzer-memory/"+name, func(b *testing.B) { benchHyzer(b, nowhere{}, outstanding) })
		b.Run("server=server4-memory/"+name, func(b *testing.B) { benchServer4(b, outstanding) })
		b.Run("server=hyzer-file/"+name, func(b *testing.B) {
			file, err := os.Create(filepath.Join(b.TempDir(), "leases"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			benchHyzer(b, &journal{file: file}, outstanding)
		})
	}
}

type nowhere struct{}

func (nowhere) Commit(context.Context, []dhcp.Lease) error { return nil }
func (nowhere) Load() ([]dhcp.Lease, error)                { return nil, nil }

// journal appends leases to a file and syncs it.
type journal struct {
	file *os.File
	buf  []byte
}

func (j *journal) Commit(_ context.Context, leases []dhcp.Lease) error {
	j.buf = j.buf[:0]
	for _, l := range leases {
		j.buf = append(j.buf, l.Client.Octets[:]...)
		j.buf = l.IP.AppendTo(j.buf)
	}
	if _, err := j.file.Write(j.buf); err != nil {
		return err
	}
	return j.file.Sync()
}

func (j *journal) Load() ([]dhcp.Lease, error) { return nil, nil }

func benchHyzer(b *testing.B, leases dhcp.Leases, outstanding int) {
	s := newSite(b)
	server, err := dhcp.New(dhcp.Config{
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, EphemeralPorts: true, ReplyToSource: true,
		Snapshot: func() dhcp.Directory { return s }, Leases: leases, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	runDORA(b, server.Endpoints()[0].DHCP, outstanding)
	if commits := server.Counts()["commits"]; commits > 0 {
		b.ReportMetric(float64(server.Counts()["leases"])/float64(commits), "leases/commit")
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// benchServer4 gives the library's server the same answers to make.
func benchServer4(b *testing.B, outstanding int) {
	local := net.IPv4(127, 0, 0, 1)
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: local})
	if err != nil {
		b.Fatal(err)
	}
	if err := conn.SetReadBuffer(4 << 20); err != nil {
		b.Fatal(err)
	}
	handle := func(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
		kind := dhcpv4.MessageTypeOffer
		if m.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
		}
		hw := m.ClientHWAddr
		reply, err := dhcpv4.NewReplyFromRequest(m,
			dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(local),
			dhcpv4.WithYourIP(net.IPv4(127, hw[3], hw[4], hw[5])),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(local)),
			dhcpv4.WithLeaseTime(36000),
			dhcpv4.WithOption(dhcpv4.OptRenewTimeValue(18000*time.Second)),
			dhcpv4.WithOption(dhcpv4.OptRebindingTimeValue(31500*time.Second)),
			dhcpv4.WithNetmask(net.CIDRMask(8, 32)), dhcpv4.WithRouter(local),
			dhcpv4.WithOption(dhcpv4.OptHostName("pc")),
		)
		if err != nil {
			return
		}
		reply.BootFileName = "/tftpboot/pxeboot.emu"
		_, _ = conn.WriteTo(reply.ToBytes(), peer)
	}
	server, err := server4.NewServer("", nil, handle, server4.WithConn(conn))
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve() }()
	runDORA(b, conn.LocalAddr().(*net.UDPAddr).AddrPort(), outstanding)
	_ = server.Close()
	<-done
}

// herd is the clients: each sends DISCOVER, then REQUEST, and becomes a new
// one. Nothing is sent twice: a lost datagram fails the benchmark.
type herd struct {
	conn   *net.UDPConn
	batch  *ipv4.PacketConn
	in     []ipv4.Message
	out    []ipv4.Message
	n      int    // messages of out that wait to be sent
	next   uint32 // number of the newest client
	finish int    // exchanges still to begin
	done   int
	wanted int // exchanges in all
}

const herdBatch = 64

// herdsMax is how many sockets the clients share: with one, clients and server
// would take turns on the processors.
const herdsMax = 4

func runDORA(b *testing.B, to netip.AddrPort, outstanding int) {
	herds := min(herdsMax, outstanding, b.N)
	list := make([]*herd, herds)
	for i := range list {
		list[i] = newHerd(b, to, uint32(i)<<20, b.N/herds+min(1, b.N%herds))
		defer list[i].conn.Close()
	}
	var all sync.WaitGroup
	before := cpuTime(b)
	b.ResetTimer()
	for _, h := range list {
		all.Go(func() { h.run(b, outstanding/herds) })
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "DORA/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/DORA")
}

// cpuTime is what the whole process has used, both ends and the kernel.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func newHerd(b *testing.B, to netip.AddrPort, first uint32, exchanges int) *herd {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		b.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	h := &herd{conn: conn, batch: ipv4.NewPacketConn(conn), next: first, finish: exchanges, wanted: exchanges}
	for range herdBatch {
		h.in = append(h.in, ipv4.Message{Buffers: [][]byte{make([]byte, 1500)}})
		h.out = append(h.out, ipv4.Message{Buffers: [][]byte{make([]byte, 0, 400)}, Addr: net.UDPAddrFromAddrPort(to)})
	}
	return h
}

func (h *herd) run(b *testing.B, outstanding int) {
	for range min(outstanding, h.wanted) {
		h.discover(b)
	}
	h.flush(b)
	for h.done < h.wanted && h.turn(b) {
	}
}

func (h *herd) turn(b *testing.B) bool {
	_ = h.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := h.batch.ReadBatch(h.in, 0)
	if err != nil {
		b.Errorf("%d of %d done: %v", h.done, h.wanted, err)
		return false
	}
	for i := range n {
		m := h.in[i].Buffers[0][:h.in[i].N]
		switch messageType(m) {
		case dhcp.Offer:
			h.request(m)
		case dhcp.Ack:
			if h.done++; h.finish > 0 {
				h.discover(b)
			}
		default:
			b.Errorf("answer of type %s", messageType(m))
			return false
		}
	}
	h.flush(b)
	return true
}

// messageType finds option 53, which the library does not put first.
func messageType(m []byte) dhcp.MessageType {
	for at := 240; at+2 < len(m) && m[at] != dhcp.OptEnd; at += 2 + int(m[at+1]) {
		if m[at] == dhcp.OptMessageType {
			return dhcp.MessageType(m[at+2])
		}
	}
	return 0
}

func (h *herd) message(kind dhcp.MessageType, client uint32) []byte {
	m := h.out[h.n].Buffers[0][:240]
	clear(m)
	m[0], m[1], m[2] = 1, 1, 6
	binary.BigEndian.PutUint32(m[4:], client)
	copy(m[24:], []byte{127, 0, 0, 1})
	m[28], m[29] = 0x52, 0x54
	binary.BigEndian.PutUint32(m[30:], client)
	binary.BigEndian.PutUint32(m[236:], 0x63825363)
	return append(m, 53, 1, byte(kind), 57, 2, 5, 0xc0, 55, 6, 1, 3, 6, 12, 66, 67)
}

func (h *herd) post(b []byte) {
	b = append(b, 255)
	h.out[h.n].Buffers[0] = b
	h.n++
}

func (h *herd) discover(b *testing.B) {
	if h.n == herdBatch {
		h.flush(b)
	}
	h.finish--
	h.next++
	h.post(h.message(dhcp.Discover, h.next))
}

func (h *herd) request(offer []byte) {
	m := h.message(dhcp.Request, binary.BigEndian.Uint32(offer[4:]))
	m = append(m, 54, 4, 127, 0, 0, 1, 50, 4)
	h.post(append(m, offer[16:20]...))
}

func (h *herd) flush(b *testing.B) {
	for sent := 0; sent < h.n; {
		n, err := h.batch.WriteBatch(h.out[sent:h.n], 0)
		if err != nil {
			b.Error(err)
			return
		}
		sent += n
	}
	h.n = 0
}
