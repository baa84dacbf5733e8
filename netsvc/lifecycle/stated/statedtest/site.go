// Package statedtest builds a site in memory for tests of what runs on the
// state machine: a store on a file system that can lose power, a registry, a
// runner with a scripted Actor. Tests of stated, wait and load use it, inside a
// bubble of testing/synctest where time matters.
package statedtest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// Site is an appliance's lifecycle part.
type Site struct {
	TB     testing.TB
	FS     *vfs.MemFS
	Store  *pebblekv.Store
	Reg    *registry.Registry
	Runner *stated.Runner
	Actor  *Actor

	stop context.CancelFunc
	work sync.WaitGroup
}

// New opens a site on an empty file system with the catalogue and n nodes,
// pc0 and up.
func New(tb testing.TB, nodes int) *Site {
	tb.Helper()
	s := &Site{TB: tb, FS: vfs.NewCrashableMem(), Actor: &Actor{}}
	s.Open()
	if err := s.Reg.EnsureHoldings(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	file, err := registry.ParseSiteFile(strings.NewReader(Catalogue))
	if err != nil {
		tb.Fatal(err)
	}
	for i := range nodes {
		id := fmt.Sprint("pc", i)
		file.Nodes = append(file.Nodes, registry.Node{ID: id, Type: "pc"})
		file.Boots = append(file.Boots, registry.BootSelection{Node: id, Def: registry.HeadRef("sys", "STD")})
		file.Reservations = append(file.Reservations, registry.Reservation{Node: id, Experiment: "sys/user"})
	}
	if err := s.Reg.Import(tb.Context(), file); err != nil {
		tb.Fatal(err)
	}
	return s
}

// Catalogue is the systems of the shared specs' state scenarios, the images
// STD and STD2, and the types pc and bare, of which bare has no loader.
const Catalogue = `
projects: [{id: sys}]
experiments: [{project: sys, id: user}]
oses:
- {project: sys, name: STD, versions: [{version: 0, family: Linux, op_mode: NORMALv2, features: [isup, ping]}]}
- {project: sys, name: OTHER, versions: [{version: 0, family: Linux, op_mode: NORMALv2, features: [isup, ping]}]}
- {project: sys, name: FRISBEE, versions: [{version: 0, family: FreeBSD, op_mode: RELOAD, features: [isup], mfs: true, path: /tftpboot/frisbee}]}
- {project: sys, name: MFS, versions: [{version: 0, family: FreeBSD, op_mode: PXEFBSD, features: [isup, ping], mfs: true, path: /tftpboot/mfs}]}
- {project: sys, name: MIN-PING, versions: [{version: 0, family: Other, op_mode: MINIMAL, features: [ping]}]}
- {project: sys, name: MIN, versions: [{version: 0, family: Other, op_mode: MINIMAL}]}
images:
- {project: sys, name: STD, versions: [{version: 0, path: /std, load_part: 0, load_length: 4, boot_part: 2, boot_os: sys/STD, size_bytes: 1000000}]}
- {project: sys, name: OTHER, versions: [{version: 3, path: /other, load_part: 0, load_length: 4, boot_part: 1, boot_os: sys/OTHER, size_bytes: 1000000}]}
- {project: sys, name: EMPTY, versions: [{version: 0, path: /empty, load_part: 0, load_length: 4, boot_os: sys/STD}]}
- {project: sys, name: DATA, versions: [{version: 0, path: /data, load_part: 4, load_length: 1, size_bytes: 1000}]}
types:
- {name: pc, class: pc, default_os: sys/STD, loader_os: sys/FRISBEE}
- {name: bare, class: pc, default_os: sys/STD}
`

// Open opens what the file system holds, and does not run it yet.
func (s *Site) Open() {
	s.TB.Helper()
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if s.Store, err = pebblekv.Open("/db", pebblekv.Options{FS: s.FS, Logger: quiet, MemTableBytes: 1 << 20}); err != nil {
		s.TB.Fatal(err)
	}
	if s.Reg, err = registry.Open(context.Background(), s.Store, quiet); err != nil {
		s.TB.Fatal(err)
	}
	s.Runner = stated.New(stated.Config{Registry: s.Reg, Actor: s.Actor, Log: quiet})
	s.Actor.report = s.Runner.Report
}

// Run runs the runner, and what else is given, until Close.
func (s *Site) Run(also ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	for _, run := range append(also, s.Runner.Run) {
		s.work.Go(func() {
			if err := run(ctx); err != nil {
				s.TB.Error(err)
			}
		})
	}
}

// Close stops what runs and closes the store.
func (s *Site) Close() {
	if s.stop != nil {
		s.stop()
		s.work.Wait()
		s.stop = nil
	}
	s.Reg.Close()
	if err := s.Store.Close(); err != nil {
		s.TB.Error(err)
	}
}

// PowerCut closes the site and opens, without running it, what a loss of power
// at this moment leaves on disk.
func (s *Site) PowerCut() {
	s.TB.Helper()
	after := s.FS.CrashClone(vfs.CrashCloneCfg{})
	s.Close()
	s.FS = after
	s.Open()
}

// Update is Registry.Update that must not fail.
func (s *Site) Update(fn func(*registry.Tx) error) {
	s.TB.Helper()
	if _, err := s.Reg.Update(context.Background(), fn); err != nil {
		s.TB.Fatal(err)
	}
}

// Report is Runner.Report that must not fail.
func (s *Site) Report(node string, reached ...string) {
	s.TB.Helper()
	if err := s.Runner.Report(context.Background(), node, string(states.SourceClient), reached...); err != nil {
		s.TB.Fatal(err)
	}
}

// At is a node's "MODE/STATE".
func (s *Site) At(node string) string {
	state := s.Reg.Snapshot().State(node)
	return state.Mode + "/" + state.State
}

// CheckLog fails if a node's log has a gap, is no chain, or does not end in
// the node's state. It returns the log. The node may go on meanwhile.
func (s *Site) CheckLog(node string) []registry.StateLogEntry {
	s.TB.Helper()
	before := s.storedState(node)
	log, err := s.Reg.StateLog(context.Background(), node, 0, 0)
	if err != nil {
		s.TB.Fatal(err)
	}
	after := s.storedState(node)
	mode, state, seq := "", "", uint64(0)
	for i, e := range log {
		if e.Seq != seq+1 || i > 0 && (e.FromMode != mode || e.From != state) {
			s.TB.Fatalf("log of %s: entry %+v follows %s/%s #%d", node, e, mode, state, seq)
		}
		mode, state, seq = e.Mode, e.To, e.Seq
		if e.Ended == registry.EndedDeleted {
			mode, state = "", "" // what comes now is a new node's
		}
		if e.Seq == before.Seq && (mode != before.Mode || state != before.State) {
			s.TB.Fatalf("node %s is %s/%s #%d, its log says %s/%s", node, before.Mode, before.State, before.Seq, mode, state)
		}
	}
	if seq < before.Seq || seq > after.Seq {
		s.TB.Fatalf("node %s is at #%d and then #%d, its log ends in #%d", node, before.Seq, after.Seq, seq)
	}
	return log
}

func (s *Site) storedState(node string) (state registry.NodeState) {
	s.TB.Helper()
	err := s.Reg.Read(context.Background(), func(tx *registry.Tx) error {
		stored, err := registry.Lookup[registry.NodeState](tx, node)
		if err == nil && stored == nil {
			stored, err = registry.FirstState(tx, node)
		}
		if err == nil {
			state = *stored
		}
		return err
	})
	if err != nil {
		s.TB.Fatal(err)
	}
	return state
}

// Actor notes what it is ordered to do. Its functions, if set, do it.
type Actor struct {
	OnReboot func(ctx context.Context, node string, method states.Method) error
	OnPing   func(ctx context.Context, node string) bool

	report func(ctx context.Context, node, source string, reached ...string) error
	mu     sync.Mutex
	orders []string
}

// Orders returns the orders so far, each "node method", and forgets them.
func (a *Actor) Orders() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	orders := a.orders
	a.orders = nil
	return orders
}

func (a *Actor) note(order string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.orders = append(a.orders, order)
}

// Reboot implements stated.Actor.
func (a *Actor) Reboot(ctx context.Context, node string, method states.Method) error {
	a.note(node + " " + string(method))
	if a.OnReboot == nil {
		return nil
	}
	return a.OnReboot(ctx, node, method)
}

// PingUp implements stated.Actor.
func (a *Actor) PingUp(ctx context.Context, node string) bool {
	a.note(node + " ping")
	return a.OnPing != nil && a.OnPing(ctx, node)
}

// RunScript implements stated.Actor.
func (a *Actor) RunScript(_ context.Context, node, script string) error {
	a.note(node + " script " + script)
	return nil
}
