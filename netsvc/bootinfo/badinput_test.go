package bootinfo_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/bootinfo"
	"hyzer/storage/registry"
)

// badInput is one class of the shared specs' list (page reliability, section 3,
// bootinfo), and what must come of it.
type badInput struct {
	name string
	try  func(t *testing.T, net string) // net is the first bytes of addresses of its own
}

// TestBadInput has a row for each class.
func TestBadInput(t *testing.T) {
	t.Parallel()
	for i, row := range []badInput{
		{"UDP reply larger than request (amplify)", amplify},
		{"unknown version", unknownVersion},
		{"opcode set by client", clientOpcode},
		{"partition 0 / huge", oddPartitions},
		{"path with NUL or > field", oddPaths},
		{"node not in registry", unknownNode},
		{"two NICs of one node race", twoPorts},
		{"answer must be pure function of DB + never block > 50 ms", neverBlocks},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.try(t, "127.70."+string(rune('1'+i))+".")
		})
	}
}

// amplify: an address that is nobody's gets no more bytes than it sent. A node
// is answered whatever the length, as from C.
func amplify(t *testing.T, net string) {
	known, forged := ip(net+"1"), ip(net+"2")
	b := newBench(t, ip(net+"200"), &reporter{}, known)
	stranger, node := b.loader(forged), b.loader(known)
	for _, length := range []int{8, 100, bootinfo.PacketBytes - 1} {
		stranger.ask(question[:length])
	}
	stranger.ask(question)
	node.ask(question[:8])
	node.answer()
	if packet, _ := stranger.answer(); packet.Opcode != bootinfo.OpReply {
		t.Errorf("answer %+v", packet)
	}
	if !stranger.silent() {
		t.Error("a short question was answered")
	}
}

func unknownVersion(t *testing.T, net string) {
	client := ip(net + "1")
	l := newBench(t, ip(net+"200"), &reporter{}, client).loader(client)
	for _, version := range []uint16{0, 2, 255, 0x8000, 0xffff} {
		l.ask(bootinfo.AppendRequest(nil, bootinfo.Request{Version: version, Opcode: bootinfo.OpRequest}))
		if packet, _ := l.answer(); packet.Version != version || packet.Opcode != bootinfo.OpReply {
			t.Errorf("version %d: %+v", version, packet)
		}
	}
}

// clientOpcode: what only servers send is not answered, or two servers would
// talk for ever.
func clientOpcode(t *testing.T, net string) {
	client := ip(net + "1")
	b := newBench(t, ip(net+"200"), &reporter{}, client)
	l := b.loader(client)
	for _, opcode := range []uint16{0, bootinfo.OpReply, bootinfo.OpAck, bootinfo.OpOrder, 7, 99, 0x0100, 0xffff} {
		l.ask(bootinfo.AppendRequest(nil, bootinfo.Request{Version: 1, Opcode: opcode}))
	}
	l.ask(question)
	l.answer()
	if !l.silent() || len(b.reports.reports()) != 1 {
		t.Errorf("reports %q", b.reports.reports())
	}
}

// diskSite is a node that boots system p/os from a slot, or a path.
func diskSite(slot int, path, cmdline string) *registry.Snapshot {
	return registry.NewSnapshot(&registry.SiteFile{
		Types: []registry.NodeType{{Name: "pc", Class: "pc"}},
		Nodes: []registry.Node{{ID: "pc1", Type: "pc", Interfaces: []registry.Interface{
			{Name: "eth0", Role: registry.InterfaceControl, IP: ip("10.0.0.1")},
			{Name: "eth1", Role: registry.InterfaceOuterControl, IP: ip("10.0.0.2")}}}},
		Experiments:  []registry.Experiment{{Project: "p", ID: "e"}},
		Reservations: []registry.Reservation{{Node: "pc1", Experiment: "p/e"}},
		OSes:         []registry.OS{{Project: "p", Name: "os", Versions: []registry.OSVersion{{OpMode: "NORMALv2", Path: path, MFS: path != ""}}}},
		Boots:        []registry.BootSelection{{Node: "pc1", Def: registry.HeadRef("p", "os"), DefCmdline: cmdline}},
		Partitions:   []registry.PartitionTable{{Node: "pc1", Slots: []registry.Partition{{Slot: slot, OS: registry.HeadRef("p", "os")}}}},
	})
}

func handle(t *testing.T, s *registry.Snapshot, from string) (bootinfo.Outcome, error) {
	t.Helper()
	out, ok := bootinfo.Handle(s, bootinfo.Request{Version: 1, Opcode: bootinfo.OpRequest}, netip.MustParseAddr(from))
	if !ok {
		t.Fatal("no answer")
	}
	_, err := out.Reply.Append(nil)
	return out, err
}

// oddPartitions: numbers (registry.PartitionTable) that are no partition do not get into the registry,
// and one that fits the field is sent as it is.
func oddPartitions(t *testing.T, _ string) {
	for _, slot := range []int{1, 4, registry.SlotsMax} {
		out, err := handle(t, diskSite(slot, "", ""), "10.0.0.1")
		if err != nil || out.Reply.Answer.Partition != int32(slot) || out.Reply.Answer.Type != bootinfo.TypePart {
			t.Errorf("slot %d: %+v, %v", slot, out.Reply, err)
		}
	}
}

// oddPaths are never cut: a part of a path would boot something else.
func oddPaths(t *testing.T, _ string) {
	for _, tc := range []struct {
		path, cmdline string
		fits          bool
	}{
		{"/tftpboot/mfs", "-s", true},
		{"/" + strings.Repeat("p", 254), "", true},
		{"/" + strings.Repeat("p", 255), "", false},
		{"/" + strings.Repeat("p", 5000), "", false},
		{"/tftpboot/a\x00b", "", false},
		{"/tftpboot/mfs", strings.Repeat("c", 223), true},
		{"/tftpboot/mfs", strings.Repeat("c", 224), false},
		{"/tftpboot/mfs", "a\x00b", false},
	} {
		if out, err := handle(t, diskSite(1, tc.path, tc.cmdline), "10.0.0.1"); (err == nil) != tc.fits {
			t.Errorf("path of %d bytes, command line of %d: %+v, %v", len(tc.path), len(tc.cmdline), out.Reply.Status, err)
		}
	}
}

func unknownNode(t *testing.T, net string) {
	b := newBench(t, ip(net+"200"), &reporter{}, ip(net+"1"))
	l := b.loader(ip(net + "99"))
	l.ask(question)
	packet, _ := l.answer()
	if packet.Opcode != bootinfo.OpReply || len(b.reports.reports()) > 0 {
		t.Errorf("answer %+v, reports %q", packet, b.reports.reports())
	}
}

// twoPorts: both control ports of a node ask at once, again and again. Both
// are told the same, of the same node.
func twoPorts(t *testing.T, _ string) {
	s := diskSite(2, "", "")
	type answered struct {
		out bootinfo.Outcome
		err error
	}
	results := make(chan answered)
	for _, from := range []string{"10.0.0.1", "10.0.0.2"} {
		for range 50 {
			go func() {
				out, err := handle(t, s, from)
				results <- answered{out, err}
			}()
		}
	}
	for range 100 {
		if r := <-results; r.err != nil || r.out.Node != "pc1" || r.out.Reply.Answer.Partition != 2 {
			t.Errorf("%+v, %v", r.out, r.err)
		}
	}
}

// neverBlocks: the same question has the same answer, and while the report of
// one loader hangs, others are answered.
func neverBlocks(t *testing.T, net string) {
	s := diskSite(1, "", "")
	first, err := handle(t, s, "10.0.0.1")
	for range 100 {
		again, againErr := handle(t, s, "10.0.0.1")
		if err != nil || againErr != nil || again.Reply != first.Reply || !slices.Equal(again.States, first.States) {
			t.Fatalf("%+v, then %+v", first, again)
		}
	}
	hold := make(chan struct{})
	stuck, other := ip(net+"1"), ip(net+"2")
	r := &reporter{came: make(chan string, 8), wait: time.Hour} // an answer that waits does not come
	b := newBench(t, ip(net+"200"), r, stuck, other)
	ready, waiting := b.loader(other), b.loader(stuck)
	ready.ask(question) // reported, and not again for a while
	ready.answer()
	<-r.came
	r.mu.Lock()
	r.hold = hold
	r.mu.Unlock()
	waiting.ask(question)
	<-r.came // its report hangs now
	for range 20 {
		ready.ask(question)
		ready.answer()
	}
	close(hold)
	waiting.answer()
}
