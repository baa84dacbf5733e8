package tmcd

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab/emulabtest"
)

// twin answers each request twice: with replies that are kept, and anew.
type twin struct {
	tb          testing.TB
	reg         *registry.Registry
	kept, fresh *Handler
}

func newTwin(tb testing.TB) *twin {
	tw := &twin{tb: tb, reg: emulabtest.Open(tb, goldenSite(tb)), kept: NewHandler(), fresh: NewHandler()}
	now := time.Unix(1e9, 0)
	for _, h := range []*Handler{tw.kept, tw.fresh} {
		h.Random = func(b []byte) { clear(b) }
		h.Now = func() time.Time { return now }
	}
	tw.fresh.replies = nil
	return tw
}

// compare asks for everything that any node may ask for.
func (tw *twin) compare(what string) {
	tw.tb.Helper()
	s := tw.reg.Snapshot()
	for _, node := range s.Nodes() {
		from := node.ControlIP()
		head := Head{Version: 44}
		if !from.IsValid() {
			host := s.Node(node.Host)
			if host == nil {
				continue
			}
			from, head.VNode = host.ControlIP(), node.ID
		}
		for i := range tw.kept.table {
			cmd := &tw.kept.table[i]
			if cmd.has(streams) || !cmd.steady() && cmd.name != commandFullConfig {
				continue
			}
			tw.ask(what, s, from, head, cmd.name)
		}
	}
}

func (tw *twin) ask(what string, s *registry.Snapshot, from netip.Addr, head Head, command string) {
	tw.tb.Helper()
	versions := []int{2, 30, 44}
	if raceDetector { // the oldest and the newest; it is the content that differs by version
		versions = []int{2, 44}
	}
	for _, version := range versions {
		for _, transport := range []Transport{TCP, TLS} {
			head.Version, head.Word = version, []byte(command)
			req := Request{Head: head, From: from, Transport: transport}
			want := tw.fresh.Handle(s, req, nil)
			for range 2 { // made, then kept
				got := tw.kept.Handle(s, req, nil)
				if string(got.Reply) != string(want.Reply) || len(got.Effects)+len(want.Effects) > 0 && !reflect.DeepEqual(got.Effects, want.Effects) {
					tw.tb.Fatalf("after %s: %s of %s, version %d, %v:\n%s%v\nmade anew:\n%s%v", what, command, from, version, transport,
						got.Reply, got.Effects, want.Reply, want.Effects)
				}
			}
		}
	}
}

// kinds are the records that replies are made from: how to choose one and put a
// changed copy back.
func kinds() map[string]func(*registry.Snapshot, *rand.Rand) (any, func(*registry.Tx) error) {
	type chooser = func(*registry.Snapshot, *rand.Rand) (any, func(*registry.Tx) error)
	return map[string]chooser{
		"site": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(s.Site())
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"type": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Types()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"node": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Nodes()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"os": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.OSes()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"image": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Images()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"project": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Projects()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"group": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Groups()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"user": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Users()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"experiment": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Experiments()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"reservation": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Reservations()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"boot": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Boots()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"partitions": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.PartitionTables()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"runtime": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Runtimes()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"load": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(one(r, s.Loads()))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
		"state": func(s *registry.Snapshot, r *rand.Rand) (any, func(*registry.Tx) error) {
			rec := clone(s.State(one(r, s.Nodes()).ID))
			return rec, func(tx *registry.Tx) error { return registry.Put(tx, rec) }
		},
	}
}

func one[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

// clone shares nothing with the record, which belongs to the snapshot.
func clone[T any](rec *T) *T {
	data, err := json.Marshal(rec)
	copied := new(T)
	if err == nil {
		err = json.Unmarshal(data, copied)
	}
	if err != nil {
		panic(err)
	}
	return copied
}

// spoil changes one value somewhere below v; false if there was none.
func spoil(v reflect.Value, r *rand.Rand) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return !v.IsNil() && spoil(v.Elem(), r)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[registry.Ref]() {
			return false // a part of its text alone is no reference
		}
		for _, i := range r.Perm(v.NumField()) {
			if v.Field(i).CanSet() && spoil(v.Field(i), r) {
				return true
			}
		}
		return false
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			return true
		}
		if r.IntN(4) == 0 {
			v.SetLen(v.Len() - 1)
			return true
		}
		return spoil(v.Index(r.IntN(v.Len())), r)
	case reflect.Map:
		if v.Type() == reflect.TypeFor[map[string]string]() {
			v.Set(reflect.ValueOf(map[string]string{fmt.Sprint("k", r.IntN(9)): "v"}))
			return true
		}
	case reflect.String:
		v.SetString(v.String() + "x")
		return true
	case reflect.Bool:
		v.SetBool(!v.Bool())
		return true
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
		return true
	}
	return false
}

// TestKeptReplies changes every kind of record at random, and asks for every
// reply after each change: what is kept is what would be made anew.
func TestKeptReplies(t *testing.T) {
	t.Parallel()
	tw := newTwin(t)
	tw.compare("nothing")
	r := rand.New(rand.NewPCG(1, 2))
	changes := 4 // of each kind
	if raceDetector {
		changes = 1
	}
	for kind, choose := range kinds() {
		done := 0
		for try := 0; done < changes && try < 200; try++ {
			s := tw.reg.Snapshot()
			rec, put := choose(s, r)
			if !spoil(reflect.ValueOf(rec), r) {
				continue
			}
			if _, err := tw.reg.Update(context.Background(), put); err != nil {
				continue // against the rules of the registry
			}
			if tw.reg.Snapshot() != s {
				done++
				tw.compare(fmt.Sprintf("change of %s %+v", kind, rec))
			}
		}
		if done < changes {
			t.Errorf("%s: %d of %d changes made", kind, done, changes)
		}
	}
	tw.compareStructure()
}

// compareStructure: records that come and go.
func (tw *twin) compareStructure() {
	for _, gone := range []struct {
		what string
		do   func(*registry.Tx) error
	}{
		{"a runtime that goes", func(tx *registry.Tx) error { return registry.Delete[registry.Runtime](tx, "pc1") }},
		{"a reservation that goes", func(tx *registry.Tx) error { return registry.Delete[registry.Reservation](tx, "pc1") }},
		{"a node that comes", func(tx *registry.Tx) error {
			return registry.Put(tx, &registry.Node{ID: "new", Type: tw.reg.Snapshot().Types()[0].Name,
				Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("127.99.0.1")}}})
		}},
	} {
		if _, err := tw.reg.Update(context.Background(), gone.do); err != nil {
			tw.tb.Errorf("%s: %v", gone.what, err)
		}
		tw.compare(gone.what)
	}
}

// TestKeptRepliesAreBounded fills the store of replies beyond its size.
func TestKeptRepliesAreBounded(t *testing.T) {
	t.Parallel()
	r := newReplies()
	text := make([]byte, 1<<20)
	for i := range 3 * repliesBytesMax >> 20 {
		r.put(replyKey{node: fmt.Sprint(i)}, &keptReply{parts: []replyPart{{text: text}}})
	}
	if r.bytes > repliesBytesMax || r.bytes < repliesBytesMax/2 || len(r.byKey) > repliesBytesMax>>20 {
		t.Errorf("%d bytes in %d replies", r.bytes, len(r.byKey))
	}
	for i := range 100 { // the same again takes no more room
		r.put(replyKey{node: "same"}, &keptReply{parts: []replyPart{{text: text[:i]}}})
	}
	sum := 0
	for _, kept := range r.byKey {
		sum += kept.size()
	}
	if sum != r.bytes {
		t.Errorf("%d bytes are counted, %d are there", r.bytes, sum)
	}
}

// TestUnsteadyCommands: what the flag live and readsOthers say is all that must
// not be kept; a command that is added without it must pass TestKeptReplies.
func TestUnsteadyCommands(t *testing.T) {
	t.Parallel()
	var names []string
	for _, cmd := range newCommands() {
		if !cmd.steady() {
			names = append(names, cmd.name)
		}
	}
	const want = "readycount loadinfo ipodinfo fullconfig rootpswd topomap ltmap portregister bootwhat bootlog ltpmap dhcpdconf hwcollect"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("not kept: %s\nwant      %s", got, want)
	}
}
