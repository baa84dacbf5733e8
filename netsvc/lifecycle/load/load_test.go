package load_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/load"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// TestFates: what a machine does in its loader and after, and how its load ends.
func TestFates(t *testing.T) {
	for _, c := range []struct {
		name string
		script
		waitBoot bool
		want     string
	}{
		{"loads", script{always(goodLoad), goodBoot}, false, "pc0 done RELOADDONEV2 1"},
		{"loads and boots", script{always(goodLoad), goodBoot}, true, "pc0 done ISUP 1"},
		{"old loader that reboots itself", script{always([]string{"RELOADSETUP", "RELOADING", "RELOADDONE"}), goodBoot}, false, "pc0 done RELOADDONE 1"},
		{"fails once", script{once(badLoad, goodLoad), goodBoot}, true, "pc0 done ISUP 2"},
		{"fails twice", script{always(badLoad), goodBoot}, true, "pc0 failed RELOADFAILED 2 the load failed (2 attempts)"},
		{"hangs once", script{once(hang, goodLoad), goodBoot}, true, "pc0 done ISUP 2"},
		{"hangs in RELOADING", script{always([]string{"RELOADSETUP", "RELOADING", "hang"}), goodBoot}, false, "pc0 timeout RELOADING 2 the load took too long (2 attempts)"},
		{"writes for an hour", script{always([]string{"RELOADSETUP", "RELOADING", "writes", "RELOADDONEV2"}), goodBoot}, false, "pc0 done RELOADDONEV2 1"},
		{"writes for an hour, then hangs", script{once([]string{"RELOADSETUP", "RELOADING", "writes", "hang"}, goodLoad), goodBoot}, false, "pc0 done RELOADDONEV2 2"},
		{"stops writing", script{once([]string{"RELOADSETUP", "RELOADING", "stalls", "hang"}, goodLoad), goodBoot}, false, "pc0 done RELOADDONEV2 2"},
		{"does not boot", script{always(goodLoad), badBoot}, true, "pc0 failed TBFAILED 1 loaded, but the system did not boot"},
		{"hangs in its boot", script{always(goodLoad), []string{"TBSETUP", "hang"}}, true, "pc0 timeout TBSETUP 1 loaded, but not up in time"},
		{"stuck in RELOADSETUP", script{once([]string{"RELOADSETUP", "hang"}, goodLoad), goodBoot}, false, "pc0 done RELOADDONEV2 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, 1, func(l *lab) {
				l.scripts["pc0"] = c.script
				job := l.load(load.Request{Nodes: []string{"pc0"}, WaitBoot: c.waitBoot, Prepare: true})
				l.want(job.ID, c.want)
				l.CheckLog("pc0")
			})
		})
	}
}

// TestRecords: what a load leaves in the registry, before and after.
func TestRecords(t *testing.T) {
	run(t, 1, func(l *lab) {
		job := l.load(load.Request{Nodes: []string{"pc0"}, WaitBoot: true, ZeroFree: 1})
		s := l.Reg.Snapshot()
		boot, plan, slots := s.Boot("pc0"), s.Load("pc0"), s.PartitionTable("pc0").Slots
		if boot.Def.Name != "OTHER" || boot.Next.Name != "FRISBEE" || plan.Images[0].MustWipe != 1 ||
			len(slots) != 1 || slots[0].Slot != 1 || slots[0].OS.Name != "OTHER" || slots[0].Image.Version != 3 || !slots[0].Confirmed.IsZero() {
			t.Errorf("planned: %+v %+v %+v", boot, plan, slots)
		}
		l.want(job.ID, "pc0 done ISUP 1")
		s = l.Reg.Snapshot()
		slots = s.PartitionTable("pc0").Slots
		if s.Load("pc0") != nil || !s.Boot("pc0").Next.IsZero() || slots[0].Confirmed.IsZero() || l.At("pc0") != "NORMALv2/ISUP" {
			t.Errorf("after: %+v %+v %+v %s", s.Load("pc0"), s.Boot("pc0"), slots, l.At("pc0"))
		}
	})
}

// TestLaterLoadOfTheWholeDisk leaves no row of what was there before.
func TestLaterLoadOfTheWholeDisk(t *testing.T) {
	run(t, 1, func(l *lab) {
		l.Update(func(tx *registry.Tx) error {
			return registry.Put(tx, &registry.PartitionTable{Node: "pc0", Slots: []registry.Partition{
				{Slot: 0, OS: registry.HeadRef("sys", "MIN")}, {Slot: 2, OS: registry.HeadRef("sys", "MIN")}, {Slot: 7, OS: registry.HeadRef("sys", "MIN")}}})
		})
		l.want(l.load(load.Request{Nodes: []string{"pc0"}}).ID, "pc0 done RELOADDONEV2 1")
		if slots := l.Reg.Snapshot().PartitionTable("pc0").Slots; len(slots) != 1 || slots[0].Slot != 1 {
			t.Errorf("slots %+v", slots)
		}
	})
}

func TestFreeNode(t *testing.T) {
	run(t, 1, func(l *lab) {
		l.Update(func(tx *registry.Tx) error { return registry.Delete[registry.Reservation](tx, "pc0") })
		job := l.load(load.Request{Nodes: []string{"pc0"}, WaitBoot: true})
		if held := l.Reg.Snapshot().Reservation("pc0"); held == nil || held.Experiment != registry.ReloadingExpt {
			t.Errorf("while it loads, it is reserved to %+v", held)
		}
		l.want(job.ID, "pc0 done RELOADDONEV2 1")
		time.Sleep(5 * time.Minute)
		if held := l.Reg.Snapshot().Reservation("pc0"); held != nil || l.At("pc0") != "PXEKERNEL/PXEWAIT" {
			t.Errorf("afterwards it is reserved to %+v, in %s", held, l.At("pc0"))
		}
	})
}

// TestRefused: what cannot be planned starts nothing on any node.
func TestRefused(t *testing.T) {
	image := func(name string) []registry.Ref { return []registry.Ref{registry.HeadRef("sys", name)} }
	for _, c := range []struct {
		name string
		req  load.Request
		want string
	}{
		{"unknown node", load.Request{Nodes: []string{"pc0", "pc9"}, Images: image("STD")}, "pc9"},
		{"no node", load.Request{Images: image("STD")}, "0 nodes"},
		{"unknown image", load.Request{Nodes: []string{"pc0"}, Images: image("NONE")}, "sys/NONE"},
		{"unknown version", load.Request{Nodes: []string{"pc0"}, Images: []registry.Ref{{Project: "sys", Name: "STD", Version: 9}}}, "sys/STD:9"},
		{"no image", load.Request{Nodes: []string{"pc0"}}, "0 images"},
		{"empty image", load.Request{Nodes: []string{"pc0"}, Images: image("EMPTY")}, "is empty"},
		{"image that boots nothing", load.Request{Nodes: []string{"pc0"}, Images: image("DATA")}, "names no boot_os"},
		{"node without loader", load.Request{Nodes: []string{"pc0", "bare"}, Images: image("STD")}, "node bare: the node's type names no loader_os"},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, 1, func(l *lab) {
				l.Update(func(tx *registry.Tx) error { return registry.Put(tx, &registry.Node{ID: "bare", Type: "bare"}) })
				_, err := l.manager.Start(context.Background(), c.req)
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				s := l.Reg.Snapshot()
				if len(s.Jobs()) != 0 || s.Load("pc0") != nil || s.PartitionTable("pc0") != nil || !s.Boot("pc0").Next.IsZero() {
					t.Error("something was planned")
				}
			})
		})
	}
}

// TestSilentLoader: a loader that stops writing is given up long before its
// load's time is over.
func TestSilentLoader(t *testing.T) {
	run(t, 1, func(l *lab) {
		l.scripts["pc0"] = script{always(hang), goodBoot}
		job := l.load(load.Request{Nodes: []string{"pc0"}})
		time.Sleep(time.Minute)
		l.manager.Beat("pc0", 0)
		time.Sleep(time.Minute)
		l.manager.Beat("pc0", 1)
		for range 5 { // alive, but it writes nothing
			time.Sleep(30 * time.Second)
			l.manager.Beat("pc0", 1)
		}
		if row := l.Reg.Snapshot().LoadNode(job.ID, "pc0"); row.Attempt != 1 {
			t.Errorf("given up at once: %+v", row)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if row := l.Reg.Snapshot().LoadNode(job.ID, "pc0"); row.Attempt != 2 {
			t.Errorf("not tried again: %+v", row)
		}
		l.manager.Beat("pc0", 0)
		time.Sleep(181 * time.Second)
		l.want(job.ID, "pc0 timeout BOOTING 2 the loader stopped writing for 3m0s (2 attempts)")
	})
}

func TestCancel(t *testing.T) {
	run(t, 2, func(l *lab) {
		l.scripts["pc1"] = script{always(hang), goodBoot}
		job := l.load(load.Request{Nodes: []string{"pc0", "pc1"}})
		time.Sleep(3 * time.Minute)
		if err := l.manager.Cancel(context.Background(), job.ID); err != nil {
			t.Fatal(err)
		}
		ended := l.Reg.Snapshot().Job(job.ID).Finished
		l.want(job.ID, "pc0 done RELOADDONEV2 1", "pc1 cancelled  1 cancelled")
		l.Actor.Orders()
		time.Sleep(2 * time.Hour)
		if orders := l.Actor.Orders(); len(orders) != 0 {
			t.Errorf("after the cancel: %q", orders)
		}
		if err := l.manager.Cancel(context.Background(), job.ID); err != nil || l.Reg.Snapshot().Job(job.ID).Finished != ended {
			t.Errorf("second cancel: %v", err)
		}
		if err := l.manager.Cancel(context.Background(), "none"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("unknown job: %v", err)
		}
	})
}

// TestSuperseded: a load that replaces another in its middle ends the older
// one's part, reboots the node out of it, and is not done by its end.
func TestSuperseded(t *testing.T) {
	run(t, 2, func(l *lab) {
		l.scripts["pc0"] = script{once([]string{"RELOADSETUP", "RELOADING", "hang"}, goodLoad), goodBoot}
		old := l.load(load.Request{Nodes: []string{"pc0", "pc1"}, Images: []registry.Ref{registry.HeadRef("sys", "STD")}})
		time.Sleep(time.Minute)
		if at := l.At("pc0"); at != "RELOAD/RELOADING" {
			t.Fatalf("node is %s", at)
		}
		// The reboot takes a while; meanwhile the old load ends.
		l.Actor.OnReboot = func(ctx context.Context, node string, method states.Method) error {
			l.Report(node, "RELOADDONEV2")
			time.Sleep(20 * time.Second)
			return l.reboot(ctx, node, method)
		}
		young := l.load(load.Request{Nodes: []string{"pc0"}, WaitBoot: true})
		l.want(young.ID, "pc0 done ISUP 1")
		fates := l.finish(old.ID)
		if want := []string{"pc0 cancelled  1 replaced by load " + young.ID, "pc1 done RELOADDONEV2 1"}; !slices.Equal(fates, want) {
			t.Errorf("old job %q\nwant %q", fates, want)
		}
		if got := l.boots["pc0 loads"]; got != 2 {
			t.Errorf("%d loads, want the cut one and the new one", got)
		}
	})
}

// TestRestartAnywhere cuts the power at any time of a load of four nodes, of
// which one fails and one hangs at first: all finish.
func TestRestartAnywhere(t *testing.T) {
	for at := time.Duration(0); at < 3*time.Minute; at += 9 * time.Second {
		t.Run(fmt.Sprint("after ", at), func(t *testing.T) {
			run(t, 4, func(l *lab) {
				l.scripts["pc1"] = script{once(badLoad, goodLoad), goodBoot}
				l.scripts["pc2"] = script{always(goodLoad), badBoot}
				l.scripts["pc3"] = script{once(hang, goodLoad), goodBoot}
				job := l.load(load.Request{Nodes: []string{"pc0", "pc1", "pc2", "pc3"}, WaitBoot: true})
				time.Sleep(at)
				l.restart()
				time.Sleep(5 * time.Second)
				l.restart() // and once more
				for _, fate := range l.finish(job.ID) {
					if want := map[bool]string{true: "failed TBFAILED", false: "done ISUP"}[strings.HasPrefix(fate, "pc2")]; !strings.Contains(fate, want) {
						t.Errorf("fate %q, want %s", fate, want)
					}
				}
				for i := range 4 {
					l.CheckLog(fmt.Sprint("pc", i))
				}
			})
		})
	}
}

// TestHistoryLost: a job whose log is no longer kept goes on from what is.
func TestHistoryLost(t *testing.T) {
	run(t, 2, func(l *lab) {
		l.scripts["pc1"] = script{once(hang, goodLoad), goodBoot}
		job := l.load(load.Request{Nodes: []string{"pc0", "pc1"}})
		time.Sleep(time.Second)
		l.stopped()
		for _, state := range []string{"PXEBOOTING", "BOOTING", "RELOADSETUP", "RELOADING", "RELOADDONE"} {
			l.Report("pc0", state) // nobody follows the job
		}
		if err := l.Store.Compact(context.Background(), l.Store.Revision()); err != nil {
			t.Fatal(err)
		}
		l.start()
		l.want(job.ID, "pc0 done SHUTDOWN 1", "pc1 done RELOADDONEV2 2")
	})
}

// TestDeletedNode: a node that is deleted ends its part only.
func TestDeletedNode(t *testing.T) {
	run(t, 2, func(l *lab) {
		l.scripts["pc0"] = script{always(hang), goodBoot}
		job := l.load(load.Request{Nodes: []string{"pc0", "pc1"}})
		time.Sleep(time.Second)
		l.Update(func(tx *registry.Tx) error {
			return errors.Join(registry.Delete[registry.Reservation](tx, "pc0"), registry.Delete[registry.Node](tx, "pc0"))
		})
		fates := l.finish(job.ID)
		if !strings.HasPrefix(fates[0], "pc0 failed") || !strings.Contains(fates[0], "deleted") || fates[1] != "pc1 done RELOADDONEV2 1" {
			t.Errorf("fates %q", fates)
		}
	})
}

// TestOldJobsAreForgotten: finished jobs do not pile up; open ones are kept
// whatever their age.
func TestOldJobsAreForgotten(t *testing.T) {
	run(t, 1, func(l *lab) {
		const kept = 1000
		l.Update(func(tx *registry.Tx) error {
			for i := range kept + 5 {
				job := &registry.LoadJob{ID: fmt.Sprintf("load-0%04d", i), Nodes: []string{"pc0"}, Finished: time.Now()}
				if i == 1 {
					job.Finished = time.Time{}
				}
				row := &registry.LoadNode{Job: job.ID, Node: "pc0", Result: registry.LoadDone}
				if err := errors.Join(registry.Put(tx, job), registry.Put(tx, row)); err != nil {
					return err
				}
			}
			return nil
		})
		l.want(l.load(load.Request{Nodes: []string{"pc0"}}).ID, "pc0 done RELOADDONEV2 1")
		synctest.Wait()
		s := l.Reg.Snapshot()
		if n := len(s.Jobs()); n != kept+1 || s.Job("load-00000") != nil || s.Job("load-00001") == nil || s.LoadNode("load-00000", "pc0") != nil {
			t.Errorf("%d jobs, oldest %v, open %v", n, s.Job("load-00000"), s.Job("load-00001"))
		}
	})
}

func TestManyNodes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const n = 200
	run(t, n, func(l *lab) {
		var nodes []string
		for i := range n {
			node := fmt.Sprint("pc", i)
			nodes = append(nodes, node, node)
			if i%10 == 0 {
				l.scripts[node] = script{once(badLoad, goodLoad), goodBoot}
			}
		}
		job := l.load(load.Request{Nodes: nodes, WaitBoot: true})
		for _, fate := range l.finish(job.ID) {
			if !strings.Contains(fate, " done ISUP ") {
				t.Fatalf("fate %q", fate)
			}
		}
	})
}
