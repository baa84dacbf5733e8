package appliance

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"hyzer/netsvc/bootinfo"
	"hyzer/netsvc/control"
	"hyzer/netsvc/lifecycle/states"
)

// TestOrdersToLoaders takes a free machine's boot loader through all that
// bootinfosend does, over the control API: it hears each order, and the state
// machine hears of it first.
func TestOrdersToLoaders(t *testing.T) {
	t.Parallel()
	cfg := loopback(t.TempDir())
	fixed(t, &cfg)
	a, _ := runs(t, cfg)
	importSite(t, a)
	client := control.Dial(cfg.Control)
	defer client.Close()
	loader, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.70.0.12:9696")))
	if err != nil {
		t.Fatal(err)
	}
	defer loader.Close()
	hear := func(want uint16, state string) {
		t.Helper()
		_ = loader.SetReadDeadline(time.Now().Add(time.Minute))
		buf := make([]byte, bootinfo.PacketBytes)
		n, err := loader.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := bootinfo.DecodePacket(buf[:n]); err != nil || p.Answer.Type != want {
			t.Fatalf("heard %+v, %v, want type %d", p, err, want)
		}
		if got := a.reg.Snapshot().State("pc2").State; got != state {
			t.Errorf("type %d was heard in state %q, want %q", want, got, state)
		}
	}
	give := func(order states.LoaderOrder, force bool) string {
		t.Helper()
		var results []control.CommandResult
		err := client.Call(t.Context(), "POST", "/v1/orders", control.OrderRequest{Nodes: []string{"pc2"}, Order: order, Force: force}, &results)
		if err != nil || len(results) != 1 {
			t.Fatal(results, err)
		}
		return results[0].Error
	}
	for _, step := range []struct {
		order states.LoaderOrder
		force bool
		hears uint16
		state string
	}{
		{states.OrderAnswer, true, bootinfo.TypeWait, "PXEWAIT"}, // nobody knows yet that it waits
		{states.OrderWakeup, false, bootinfo.TypeAuto, "PXEWAKEUP"},
		{states.OrderWakeup, false, bootinfo.TypeAuto, "PXEWAKEUP"},
		{states.OrderReboot, false, bootinfo.TypeReboot, "SHUTDOWN"},
		{states.OrderRestart, true, bootinfo.TypeRestart, "SHUTDOWN"},
	} {
		if failure := give(step.order, step.force); failure != "" {
			t.Fatalf("%s: %s", step.order, failure)
		}
		hear(step.hears, step.state)
	}
	if failure := give(states.OrderWakeup, false); failure != "bootinfo: node pc2 does not wait for orders (state SHUTDOWN)" {
		t.Errorf("order to a node that is down: %q", failure)
	}
}
