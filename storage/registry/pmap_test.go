package registry

import (
	"math/rand/v2"
	"testing"
)

// The map must agree with a Go map under random changes, and no change may
// reach an older version.
func TestPmapAgainstModel(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	var m pmap[int, int]
	model := map[int]int{}
	type version struct {
		m     pmap[int, int]
		model map[int]int
	}
	var old []version
	for i := range 20_000 {
		k := rng.IntN(2000)
		if rng.IntN(3) == 0 {
			m = m.Without(k)
			delete(model, k)
		} else {
			m = m.With(k, i)
			model[k] = i
		}
		if i%4000 == 0 {
			frozen := map[int]int{}
			for k, v := range model {
				frozen[k] = v
			}
			old = append(old, version{m, frozen})
		}
	}
	for _, v := range append(old, version{m, model}) {
		checkPmap(t, v.m, v.model)
	}
}

func checkPmap(t *testing.T, m pmap[int, int], model map[int]int) {
	t.Helper()
	if m.Len() != len(model) {
		t.Fatalf("Len %d, want %d", m.Len(), len(model))
	}
	for k := range 2000 {
		got, ok := m.Get(k)
		want, wantOK := model[k]
		if got != want || ok != wantOK {
			t.Fatalf("Get(%d) = %d, %v; want %d, %v", k, got, ok, want, wantOK)
		}
	}
	visited := 0
	m.All(func(k, v int) bool {
		if model[k] != v {
			t.Fatalf("All gave %d=%d, want %d", k, v, model[k])
		}
		visited++
		return true
	})
	if visited != len(model) {
		t.Fatalf("All visited %d of %d", visited, len(model))
	}
}

// Keys whose hashes collide down to the last level share a list.
func TestPmapCollisions(t *testing.T) {
	t.Parallel()
	var root *pnode[string, int]
	for i, k := range []string{"a", "b", "c", "b"} {
		root, _ = root.with(42, pmapDepth, pslot[string, int]{key: k, value: i})
	}
	if v, ok := root.listGet("b"); !ok || v != 3 {
		t.Fatalf("b = %d, %v", v, ok)
	}
	root, removed := root.without(42, pmapDepth, "a")
	if _, ok := root.listGet("a"); ok || !removed {
		t.Fatal("a is still there")
	}
	if _, ok := root.listGet("c"); !ok {
		t.Fatal("c went with a")
	}
}

func BenchmarkPmapGet(b *testing.B) {
	var m pmap[MAC, int]
	for i := range 10_000 {
		m = m.With(MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Get(MAC{2, 0, 0, 0, byte(i >> 8), byte(i)})
	}
}

func BenchmarkPmapWith(b *testing.B) {
	var m pmap[int, int]
	for i := range 10_000 {
		m = m.With(i, i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.With(i%10_000, i)
	}
}
