package tmcd

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// slowBoots are effects whose reports of boots come late to the store.
type slowBoots struct {
	*Recorder
	late time.Duration
}

func (e slowBoots) Expect(node, source string) recordAnswer {
	record := e.Recorder.Expect(node, source)
	return func(ctx context.Context, asked kv.Revision, reached ...string) (*registry.NodeState, error) {
		time.Sleep(e.late)
		return record(context.WithoutCancel(ctx), asked, reached...)
	}
}

// bootwhatSite is a machine, pc0, that was switched on to boot its disk, and a
// server without sockets.
func bootwhatSite(t *testing.T, late time.Duration) (*statedtest.Site, *Server) {
	site := statedtest.New(t, 1)
	site.Update(func(tx *registry.Tx) error {
		node := registry.Node{ID: "pc0", Type: "pc", Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: nodeAddr(0)}}}
		if err := registry.Put(tx, &registry.PartitionTable{Node: "pc0", Slots: []registry.Partition{{Slot: 2, OS: registry.HeadRef("sys", "STD")}}}); err != nil {
			return err
		}
		return registry.Put(tx, &node)
	})
	site.Report("pc0", "SHUTDOWN")
	cfg := Config{Snapshot: site.Reg.Snapshot, Log: slog.New(slog.DiscardHandler), Timeouts: Timeouts{}.withDefaults()}
	cfg.Effects = slowBoots{&Recorder{States: machineStates{site.Runner}, Registry: site.Reg, Now: time.Now}, late}
	return site, &Server{cfg: cfg, handler: NewHandler()}
}

// orderMFS has pc0 boot another system, now.
func orderMFS(site *statedtest.Site) {
	site.Update(func(tx *registry.Tx) error {
		return site.Runner.Select(tx, "pc0", func(b *registry.BootSelection) { b.Temp = registry.HeadRef("sys", "MFS") })
	})
	if err := site.Runner.Command(context.Background(), "pc0", "operator", states.CommandReboot, states.ForceAny); err != nil {
		site.TB.Error(err)
	}
}

// TestOrderBetweenBootwhatAndReport: an order comes between the answer's first
// making and its report. A machine that is told what the order wants has obeyed
// it; one that is told what was wanted before has not, and is still to be
// rebooted.
func TestOrderBetweenBootwhatAndReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		late  time.Duration // from the announcement to the report
		after time.Duration // from the request to the order; negative: before the announcement
		told  string
		open  bool
	}{
		{name: "before the announcement", after: -1, told: "STATUS=success TYPE=7 FLAGS=0 WHAT=/tftpboot/mfs\n"},
		{name: "behind the announcement", late: time.Second, after: time.Millisecond, told: "STATUS=success TYPE=1 FLAGS=0 WHAT=2\n", open: true},
		{name: "and the report does not come in time", late: 10 * time.Second, after: time.Millisecond, told: "STATUS=success TYPE=1 FLAGS=0 WHAT=2\n", open: true},
		{name: "after the report", after: time.Second, told: "STATUS=success TYPE=1 FLAGS=0 WHAT=2\n", open: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				site, server := bootwhatSite(t, c.late)
				defer site.Close()
				adm := server.handler.Admit(site.Reg.Snapshot(), Request{Head: Head{Version: 44, Word: []byte("bootwhat")}, From: nodeAddr(0)})
				result, err := adm.Run(bytes.NewReader(nil))
				if err != nil || len(result.Effects) != 1 {
					t.Fatalf("%q, %v, refused %q, %v", result.Reply, result.Effects, adm.Refused, err)
				}
				if c.after < 0 {
					orderMFS(site)
				}
				done := make(chan error, 1)
				go func() { done <- server.execute(&adm, &result) }()
				if c.after > 0 {
					time.Sleep(c.after)
					orderMFS(site)
				}
				if err := <-done; err != nil || string(result.Reply) != c.told {
					t.Errorf("told %q, %v, want %q", result.Reply, err, c.told)
				}
				if open := site.Reg.Snapshot().Command("pc0") != nil; open != c.open || site.Reg.Snapshot().State("pc0").State != "BOOTING" {
					t.Errorf("state %s, the order is open: %t", site.At("pc0"), open)
				}
			})
		})
	}
}

// TestBootwhatOfNodeThatWent: a node that is deleted while it asks is told
// nothing, and no order waits for its report.
func TestBootwhatOfNodeThatWent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		site, server := bootwhatSite(t, 0)
		defer site.Close()
		adm := server.handler.Admit(site.Reg.Snapshot(), Request{Head: Head{Version: 44, Word: []byte("bootwhat")}, From: nodeAddr(0)})
		result, _ := adm.Run(bytes.NewReader(nil))
		site.Update(func(tx *registry.Tx) error {
			node, err := registry.Get[registry.Node](tx, "pc0")
			if err != nil {
				return err
			}
			node.Interfaces = nil
			return registry.Put(tx, node)
		})
		if err := server.execute(&adm, &result); err == nil {
			t.Errorf("told %q", result.Reply)
		}
		begin := time.Now()
		site.Runner.AwaitReports(context.Background(), "pc0")
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("an order would wait for %s", waited)
		}
	})
}
