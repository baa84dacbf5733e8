package load_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/netsvc/lifecycle/load"
	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// lab is a site with a load manager and machines that boot what they are told.
type lab struct {
	*statedtest.Site
	manager *load.Manager

	life     context.Context // of the machines: it outlasts the appliance's
	machines sync.WaitGroup

	appliance sync.RWMutex // held to restart it
	mu        sync.Mutex
	scripts   map[string]script
	boots     map[string]int // reboots of each machine
}

// script is what a machine does in its loader at its n-th load, 0 and up, and
// then in the loaded system. "hang" stops it there, "writes" sends heartbeats for
// an hour and ends them, "stalls" does for as long without ending them.
type script struct {
	loader func(n int) []string
	system []string
}

var (
	goodLoad = []string{"RELOADSETUP", "RELOADING", "RELOADDONEV2"}
	badLoad  = []string{"RELOADSETUP", "RELOADING", "RELOADFAILED"}
	goodBoot = []string{"TBSETUP", "ISUP"}
	badBoot  = []string{"TBSETUP", "TBFAILED"}
	hang     = []string{"hang"}
)

func always(states []string) func(int) []string { return func(int) []string { return states } }

func once(first, then []string) func(int) []string {
	return func(n int) []string {
		if n == 0 {
			return first
		}
		return then
	}
}

// run runs fn on a running lab of n nodes that are up, in virtual time.
func run(t *testing.T, nodes int, fn func(l *lab)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &lab{Site: statedtest.New(t, nodes), scripts: map[string]script{}, boots: map[string]int{}}
		l.Actor.OnReboot = l.reboot
		life, end := context.WithCancel(context.Background())
		l.life = life
		defer func() {
			end()
			l.machines.Wait()
			l.Close()
		}()
		l.start()
		for i := range nodes {
			l.Report(fmt.Sprint("pc", i), "SHUTDOWN", "PXEBOOTING", "BOOTING", "TBSETUP", "ISUP")
		}
		fn(l)
	})
}

func (l *lab) start() {
	l.manager = load.New(l.Reg, l.Runner, slog.New(slog.DiscardHandler))
	l.Run(l.manager.Run)
}

// restart cuts the power and starts over.
func (l *lab) restart() {
	l.stopped()
	l.start()
}

// stopped cuts the power and opens what is left, without running it.
func (l *lab) stopped() {
	l.appliance.Lock()
	defer l.appliance.Unlock()
	l.PowerCut()
}

// reboot takes a machine down and lets it boot by itself from there.
func (l *lab) reboot(ctx context.Context, node string, _ states.Method) error {
	if err := l.Runner.Report(ctx, node, "power", "SHUTDOWN"); err != nil {
		return err
	}
	l.mu.Lock()
	l.boots[node]++
	life := l.boots[node]
	l.mu.Unlock()
	l.machines.Go(func() { l.machine(node, life) })
	return nil
}

// machine asks what to boot, as bootinfo does, and follows its script, unless
// it was rebooted meanwhile.
func (l *lab) machine(node string, life int) {
	say := func(state string) bool {
		for {
			select {
			case <-time.After(10 * time.Second):
			case <-l.life.Done():
				return false
			}
			l.mu.Lock()
			alive := l.boots[node] == life
			l.mu.Unlock()
			if !alive || state == "hang" {
				return false
			}
			l.appliance.RLock()
			err := l.Runner.Report(l.life, node, "client", state)
			l.appliance.RUnlock()
			if err == nil || errors.Is(err, registry.ErrNotFound) {
				return err == nil
			}
		}
	}
	if !say("PXEBOOTING") {
		return
	}
	l.appliance.RLock()
	snapshot := l.Reg.Snapshot()
	l.appliance.RUnlock()
	plan := bootplan.Resolve(snapshot, snapshot.Node(node), bootplan.Asker{LoaderVersion: 1})
	if plan.Kind == bootplan.Wait {
		say("PXEWAIT")
		return
	}
	if !say("BOOTING") {
		return
	}
	for _, state := range l.program(node, plan) {
		switch {
		case state == "writes", state == "stalls":
			l.writes(node)
			if state == "writes" {
				l.manager.BeatsEnd(node)
			}
		case !say(state):
			return
		}
	}
}

// writes sends heartbeats for an hour, two for each chunk.
func (l *lab) writes(node string) {
	for i := range 120 {
		select {
		case <-time.After(30 * time.Second):
		case <-l.life.Done():
			return
		}
		l.appliance.RLock()
		l.manager.Beat(node, i/2)
		l.appliance.RUnlock()
	}
}

func (l *lab) program(node string, plan bootplan.Plan) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.scripts[node]
	if !ok {
		s = script{always(goodLoad), goodBoot}
	}
	if plan.OpMode != "RELOAD" {
		return s.system
	}
	key := node + " loads"
	l.boots[key]++
	return s.loader(l.boots[key] - 1)
}

func (l *lab) load(req load.Request) *registry.LoadJob {
	l.TB.Helper()
	if req.Images == nil {
		req.Images = []registry.Ref{registry.HeadRef("sys", "OTHER")}
	}
	job, err := l.manager.Start(context.Background(), req)
	if err != nil {
		l.TB.Fatal(err)
	}
	return job
}

// finish lets hours pass until a job is finished, and returns its nodes' fates.
func (l *lab) finish(id string) []string {
	l.TB.Helper()
	for range 100 {
		time.Sleep(time.Minute)
		if !l.Reg.Snapshot().Job(id).Finished.IsZero() {
			return l.fates(id)
		}
	}
	l.TB.Fatalf("job %s is not finished: %q", id, l.fates(id))
	return nil
}

func (l *lab) fates(id string) []string {
	var fates []string
	s := l.Reg.Snapshot()
	for _, node := range s.Job(id).Nodes {
		row := s.LoadNode(id, node)
		fates = append(fates, strings.TrimSpace(fmt.Sprintf("%s %s %s %d %s", node, row.Result, row.State, row.Attempt, row.Reason)))
	}
	return fates
}

func (l *lab) want(id string, want ...string) {
	l.TB.Helper()
	if got := l.finish(id); !slices.Equal(got, want) {
		l.TB.Errorf("fates %q\nwant  %q", got, want)
	}
}
