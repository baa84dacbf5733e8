package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// TestFollowingEqualsReading runs random transactions, many of which break a
// rule, and compares the snapshot that followed them with one that was read at
// once. Snapshots taken on the way must not change.
func TestFollowingEqualsReading(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			store := newStore(t, 0)
			reg := openRegistry(t, store)
			w := &walk{rng: rand.New(rand.NewPCG(seed, 1))}
			type held struct {
				snapshot *registry.Snapshot
				frozen   string
			}
			var old []held
			accepted := 0
			for step := range 400 {
				_, err := reg.Update(t.Context(), w.transaction())
				switch {
				case err == nil:
					accepted++
				case !errors.Is(err, registry.ErrInvalid) && !errors.Is(err, registry.ErrConflict):
					t.Fatalf("step %d: %v", step, err)
				}
				if step%25 != 24 {
					continue
				}
				got := pictureOf(t, reg.Snapshot())
				if want := pictureOf(t, openRegistry(t, store).Snapshot()); got != want {
					t.Fatalf("step %d: followed\n%s\nread\n%s", step, got, want)
				}
				old = append(old, held{reg.Snapshot(), got.Frozen})
			}
			for _, h := range old {
				if got := pictureOf(t, h.snapshot); got.Frozen != h.frozen {
					t.Fatalf("snapshot of revision %d changed from\n%s\nto\n%s", h.snapshot.Revision(), h.frozen, got.Frozen)
				}
			}
			if accepted < 60 {
				t.Errorf("only %d of 400 transactions kept the rules", accepted)
			}
		})
	}
}

// walk makes transactions over a small universe, so that they collide.
type walk struct{ rng *rand.Rand }

func (w *walk) name(kind string) string { return fmt.Sprint(kind, w.rng.IntN(4)) }

func (w *walk) transaction() func(*registry.Tx) error {
	seed := w.rng.Uint64()
	return func(tx *registry.Tx) error {
		again := &walk{rand.New(rand.NewPCG(seed, 2))} // a transaction may run twice
		for range 1 + again.rng.IntN(4) {
			if err := again.change(tx); err != nil {
				return err
			}
		}
		return nil
	}
}

func (w *walk) change(tx *registry.Tx) error {
	node := w.name("pc")
	switch w.rng.IntN(20) {
	case 0, 1, 2, 3:
		return registry.Put(tx, w.node(node))
	case 4:
		return registry.Delete[registry.Node](tx, node)
	case 5:
		return registry.Put(tx, &registry.NodeType{Name: w.name("type"), Class: "pc", DefaultOS: registry.HeadRef("sys", w.name("os"))})
	case 6:
		return registry.Delete[registry.NodeType](tx, w.name("type"))
	case 7:
		return registry.Put(tx, &registry.OS{Project: "sys", Name: w.name("os"), LegacyID: 1 + w.rng.IntN(5),
			Versions: []registry.OSVersion{{Version: w.rng.IntN(2), OpMode: "NORMALv2"}}})
	case 8:
		return registry.Delete[registry.OS](tx, "sys/"+w.name("os"))
	case 9, 10:
		return registry.Put(tx, &registry.Reservation{Node: node, Experiment: "p/" + w.name("e"), VName: w.name("v"), ExternalID: w.name("key")})
	case 11, 12:
		return registry.Delete[registry.Reservation](tx, node)
	case 13:
		return errors.Join(registry.Put(tx, &registry.Project{ID: "p"}), registry.Put(tx, &registry.Experiment{Project: "p", ID: w.name("e")}))
	case 14:
		return registry.Delete[registry.Experiment](tx, "p/"+w.name("e"))
	case 15:
		return registry.Put(tx, &registry.NodeState{Node: node, State: w.name("S"), Seq: w.rng.Uint64N(9)})
	case 16:
		return registry.Put(tx, &registry.NodeStatus{Node: node, Status: w.name("up")})
	case 17:
		return registry.Delete[registry.NodeState](tx, node)
	case 18:
		return registry.Put(tx, &registry.Errand{Node: node, After: tx.Revision(), Kind: "reboot"})
	}
	return registry.Put(tx, &registry.BootSelection{Node: node, Def: registry.HeadRef("sys", w.name("os"))})
}

func (w *walk) node(id string) *registry.Node {
	n := &registry.Node{ID: id, Type: w.name("type"), UUID: w.name("uuid"), WideAreaKey: w.name("secret")}
	if w.rng.IntN(4) == 0 {
		n.Host = w.name("pc")
	}
	for i, role := range []string{registry.InterfaceControl, registry.InterfaceExperiment} {
		n.Interfaces = append(n.Interfaces, registry.Interface{Name: fmt.Sprint("eth", i), Role: role,
			MAC: registry.MAC{5: byte(1 + w.rng.IntN(8))}, IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(w.rng.IntN(6))})})
	}
	return n
}

// TestCompactedHistory: a registry whose follower is outrun reads anew.
func TestCompactedHistory(t *testing.T) {
	t.Parallel()
	store := &stallingStore{Store: newStore(t, 0), stall: make(chan struct{})}
	reg := openRegistry(t, store)
	// The follower stands in Next while 50 revisions pass and are forgotten.
	for i := range 50 {
		putProject(t, store.Store, fmt.Sprint("p", i))
	}
	if err := store.Compact(t.Context(), store.Revision()); err != nil {
		t.Fatal(err)
	}
	close(store.stall)
	if _, err := reg.Update(t.Context(), func(tx *registry.Tx) error {
		return registry.Put(tx, &registry.Project{ID: "last"})
	}); err != nil {
		t.Fatal(err)
	}
	if got, want := pictureOf(t, reg.Snapshot()), pictureOf(t, openRegistry(t, store.Store).Snapshot()); got != want {
		t.Fatalf("followed\n%s\nread\n%s", got, want)
	}
	if n := len(reg.Snapshot().Projects()); n != 51 {
		t.Errorf("%d projects, want 51", n)
	}
}

func putProject(t *testing.T, store kv.Store, id string) {
	t.Helper()
	_, err := store.Update(t.Context(), func(tx kv.Tx) error {
		return tx.Put([]byte("r/project/"+id), []byte(`{"id":"`+id+`"}`))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// stallingStore holds its first watcher back.
type stallingStore struct {
	kv.Store
	stall chan struct{}
}

func (s *stallingStore) Watch(ctx context.Context, prefix []byte, after kv.Revision) (kv.Watcher, error) {
	w, err := s.Store.Watch(ctx, prefix, after)
	return stallingWatcher{w, s.stall}, err
}

type stallingWatcher struct {
	kv.Watcher
	stall chan struct{}
}

func (w stallingWatcher) Next(ctx context.Context) ([]kv.Event, error) {
	select {
	case <-w.stall:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return w.Watcher.Next(ctx)
}

// TestUpdateWithoutChange: a transaction that changes nothing returns at once,
// also when the newest revision is of records that are not the registry's.
func TestUpdateWithoutChange(t *testing.T) {
	t.Parallel()
	store := newStore(t, 0)
	reg := openRegistry(t, store)
	_, err := store.Update(t.Context(), func(tx kv.Tx) error { return tx.Put([]byte("lease/1"), []byte("x")) })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := reg.Update(context.Background(), func(tx *registry.Tx) error { return registry.Delete[registry.Project](tx, "none") })
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for a revision that the registry will not see")
	}
}

// TestUpdateOutlivesItsContext: what was committed is not reported as undone
// because the caller lost interest meanwhile.
func TestUpdateOutlivesItsContext(t *testing.T) {
	t.Parallel()
	reg := openRegistry(t, newStore(t, 0))
	ctx, cancel := context.WithCancel(t.Context())
	_, err := reg.Update(ctx, func(tx *registry.Tx) error {
		cancel()
		return registry.Put(tx, &registry.Project{ID: "p"})
	})
	if err != nil || reg.Snapshot().Project("p") == nil {
		t.Fatalf("error %v, project %v", err, reg.Snapshot().Project("p"))
	}
}

// TestDeletedNodeKeepsItsHistory: a node that is made again under an old name
// goes on counting, and nothing of its old life is left but the log.
func TestDeletedNodeKeepsItsHistory(t *testing.T) {
	t.Parallel()
	reg := newSite(t, smallSite)
	update := func(fn func(*registry.Tx) error) {
		t.Helper()
		if _, err := reg.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	node := *reg.Snapshot().Node("pc2")
	update(func(tx *registry.Tx) error {
		return errors.Join(
			registry.AppendLog(tx, &registry.StateLogEntry{Node: "pc2", Seq: 1, Mode: "NORMALv2", To: "ISUP"}),
			registry.Put(tx, &registry.NodeState{Node: "pc2", Mode: "NORMALv2", State: "ISUP", Seq: 1, Life: 7, Generation: 9}),
			registry.Put(tx, &registry.Errand{Node: "pc2", Kind: "reboot"}),
			registry.Put(tx, &registry.Command{Node: "pc2", Kind: "REBOOT"}))
	})
	update(func(tx *registry.Tx) error { return registry.Delete[registry.Node](tx, "pc2") })
	s := reg.Snapshot()
	if s.Node("pc2") != nil || s.Command("pc2") != nil || len(s.Errands()) != 0 || s.State("pc2").State != "" {
		t.Errorf("left: %v %v %v %v", s.Node("pc2"), s.Command("pc2"), s.Errands(), s.State("pc2"))
	}
	log, err := reg.StateLog(t.Context(), "pc2", 0, 0)
	if err != nil || len(log) != 2 || log[1].Ended != registry.EndedDeleted || log[1].IsArrival() {
		t.Fatalf("log %+v, error %v", log, err)
	}
	update(func(tx *registry.Tx) error {
		first, err := registry.FirstState(tx, "pc2")
		if err != nil || first.Seq != 2 || first.Life != 7 || first.Generation != 9 || first.State != "" {
			t.Errorf("first state %+v, error %v", first, err)
		}
		return registry.Put(tx, &node)
	})
}

// TestUnreadableReference: a reference that could not be read again is refused
// when it is written, and following goes on.
func TestUnreadableReference(t *testing.T) {
	t.Parallel()
	reg := newSite(t, smallSite)
	for _, ref := range []registry.Ref{
		{Name: "std"}, {Project: "../x", Name: "std"}, {Project: "sys", Name: "a b"}, {Project: "sys", Name: "std", Version: -2}, {Project: "sys", Name: "std", Version: 1 << 31},
	} {
		_, err := reg.Update(t.Context(), func(tx *registry.Tx) error {
			return registry.Put(tx, &registry.BootSelection{Node: "pc1", Def: ref})
		})
		if !errors.Is(err, registry.ErrInvalid) {
			t.Errorf("%+v: %v, want %v", ref, err, registry.ErrInvalid)
		}
	}
	good := registry.HeadRef("sys", "std")
	if _, err := reg.Update(t.Context(), func(tx *registry.Tx) error {
		return registry.Put(tx, &registry.BootSelection{Node: "pc1", Def: good})
	}); err != nil {
		t.Fatal(err)
	}
	if got := reg.Snapshot().Boot("pc1").Def; got != good {
		t.Errorf("the snapshot has %v, want %v", got, good)
	}
}
