package bootinfo_test

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/bootinfo"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

const ordersSite = `
site: {boss_ip: 127.69.20.200, domain: example.org, boss_name: boss}
oses:
  - {project: p, name: LINUX, versions: [{version: 0, family: Linux, op_mode: NORMALv2}]}
  - {project: p, name: MFS, versions: [{version: 0, family: Linux, path: "/tftpboot/frisbee -s", mfs: true}]}
projects: [{id: p}]
types: [{name: pc, class: pc}, {name: silent, class: pc, attributes: {nobootinfo: 1}}]
nodes:
  - {id: free, type: pc, interfaces: [{name: eth0, role: ctrl, ip: 127.69.20.1}]}
  - {id: loads, type: pc, interfaces: [{name: eth0, role: ctrl, ip: 127.69.20.2}]}
  - {id: broken, type: pc, interfaces: [{name: eth0, role: ctrl, ip: 127.69.20.3}]}
  - {id: noip, type: pc}
  - {id: silent, type: silent, interfaces: [{name: eth0, role: ctrl, ip: 127.69.20.4}]}
experiments: [{project: p, id: e, state: active}]
reservations: [{node: loads, experiment: p/e, role: node}, {node: broken, experiment: p/e, role: node}]
boots: [{node: loads, def: p/MFS}, {node: broken, def: p/LINUX}]
`

func ordersSnapshot(t *testing.T) *registry.Snapshot {
	t.Helper()
	file, err := registry.ParseSiteFile(strings.NewReader(ordersSite))
	if err != nil {
		t.Fatal(err)
	}
	return registry.NewSnapshot(file)
}

// TestOrders: every order's packet, byte for byte, and what was reported
// before it. The bytes are little-endian: version 1, opcode 4 (ORDER), status
// 0; flags 0, type. Those to the free node are the recorded ones of the old
// program (bootinfosend.pcap).
func TestOrders(t *testing.T) {
	t.Parallel()
	s := ordersSnapshot(t)
	mfs := hex.EncodeToString([]byte("/tftpboot/frisbee"))
	for _, c := range []struct {
		node, order string
		head        string // of the packet in hex; then zeros up to the command line
		cmdline     string
		reports     []string
	}{
		{"free", "wakeup", "01000400" + "00000000" + "00000600", "", []string{"free bootinfosend PXEWAKEUP"}},
		{"free", "reboot", "01000400" + "00000000" + "00000500", "", []string{"free bootinfosend SHUTDOWN"}},
		{"free", "restart", "01000400" + "00000000" + "00000800", "", []string{"free bootinfosend SHUTDOWN"}},
		{"free", "answer", "01000400" + "00000000" + "00000400", "", []string{"free bootinfosend PXEBOOTING,PXEWAIT"}},
		{"loads", "answer", "01000400" + "00000000" + "00000700" + mfs, "-s", []string{"loads bootinfosend PXEBOOTING,BOOTING"}},
	} {
		t.Run(c.node+" "+c.order, func(t *testing.T) {
			r := &reporter{}
			l, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.Node(c.node).ControlIP(), bootinfo.ClientPort)))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			orders := bootinfo.Orders{Snapshot: func() *registry.Snapshot { return s }, Reports: r}
			if err := orders.Give(t.Context(), c.node, states.LoaderOrder(c.order), true); err != nil {
				t.Fatal(err)
			}
			if got := r.reports(); !slices.Equal(got, c.reports) {
				t.Errorf("reported %q, want %q", got, c.reports)
			}
			want := make([]byte, bootinfo.PacketBytes)
			if _, err := hex.Decode(want, []byte(c.head)); err != nil {
				t.Fatal(err)
			}
			copy(want[272:], c.cmdline)
			_ = l.SetReadDeadline(time.Now().Add(time.Minute))
			got := make([]byte, 2*bootinfo.PacketBytes)
			n, from, err := l.ReadFromUDPAddrPort(got)
			if err != nil {
				t.Fatal(err)
			}
			if from != netip.AddrPortFrom(ip("127.69.20.200"), bootinfo.OrderPort) || string(got[:n]) != string(want) {
				t.Errorf("from %s %d bytes %x\nwant %x", from, n, got[:n], want)
			}
		})
	}
}

// TestOrdersNotGiven: nothing is reported of an order that cannot be given.
func TestOrdersNotGiven(t *testing.T) {
	t.Parallel()
	s := ordersSnapshot(t)
	for _, c := range []struct {
		node, order string
		force       bool
		want        string
	}{
		{"free", "wakeup", false, "does not wait for orders"},
		{"nobody", "wakeup", true, "nobody"},
		{"noip", "wakeup", true, "control address"},
		{"broken", "answer", true, "no answer for node broken"},
		{"free", "dance", true, "want one of [wakeup reboot restart answer]"},
	} {
		r := &reporter{}
		orders := bootinfo.Orders{Snapshot: func() *registry.Snapshot { return s }, Reports: r}
		err := orders.Give(t.Context(), c.node, states.LoaderOrder(c.order), c.force)
		if err == nil || !strings.Contains(err.Error(), c.want) || len(r.reports()) > 0 {
			t.Errorf("%s to %s: %v, reported %q", c.order, c.node, err, r.reports())
		}
	}
}

// TestOrderAfterReport: an order whose state could not be recorded is not sent.
func TestOrderAfterReport(t *testing.T) {
	t.Parallel()
	s := ordersSnapshot(t)
	l, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip("127.69.20.4"), bootinfo.ClientPort)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	full := errors.New("disk full")
	orders := bootinfo.Orders{Snapshot: func() *registry.Snapshot { return s }, Reports: &reporter{err: full}}
	if err := orders.Give(t.Context(), "silent", states.OrderReboot, true); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
	orders.Reports = &reporter{}
	if err := orders.Give(context.Background(), "silent", states.OrderWakeup, true); err != nil {
		t.Fatal(err)
	}
	_ = l.SetReadDeadline(time.Now().Add(time.Minute))
	got := make([]byte, bootinfo.PacketBytes)
	if _, err := l.Read(got); err != nil {
		t.Fatal(err)
	}
	if p, err := bootinfo.DecodePacket(got); err != nil || p.Answer.Type != bootinfo.TypeAuto {
		t.Errorf("first packet %+v, %v: want only the second order", p, err)
	}
}
