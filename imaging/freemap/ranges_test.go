package freemap

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// sectorSet is the set of sectors of a list, for checking by brute force.
type sectorSet [200]bool

func (b *sectorSet) set(list []Range) *sectorSet {
	for _, r := range list {
		for s := r.Start; s < r.End; s++ {
			b[s] = true
		}
	}
	return b
}

// list makes ranges of the set sectors.
func (b *sectorSet) list() []Range {
	var out []Range
	for s, on := range b {
		if on {
			out = Append(out, uint64(s), uint64(s+1))
		}
	}
	return out
}

// TestRanges holds every operation on lists against one on single sectors.
func TestRanges(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	random := func() []Range {
		var list []Range
		for range r.IntN(8) {
			start := uint64(r.IntN(190))
			list = append(list, Range{start, start + uint64(r.IntN(10))})
		}
		return list
	}
	for range 2000 {
		rawA, rawB := random(), random()
		bitsA, bitsB := new(sectorSet).set(rawA), new(sectorSet).set(rawB)
		a, b := Normalize(append([]Range(nil), rawA...)), Normalize(append([]Range(nil), rawB...))
		var minus, both, inverse sectorSet
		for s := range minus {
			minus[s] = bitsA[s] && !bitsB[s]
			both[s] = bitsA[s] && bitsB[s]
			inverse[s] = s >= 10 && s < 180 && !bitsA[s]
		}
		for name, pair := range map[string][2][]Range{
			"Normalize": {a, bitsA.list()},
			"Subtract":  {Subtract(a, b), minus.list()},
			"Intersect": {Intersect(a, b), both.list()},
			"Invert":    {Invert(a, 10, 180), inverse.list()},
			"Overlap":   {Intersect(Overlap(a, Range{20, 90}), []Range{{20, 90}}), Intersect(a, []Range{{20, 90}})},
		} {
			if fmt.Sprint(pair[0]) != fmt.Sprint(pair[1]) {
				t.Fatalf("%s of %v and %v is %v, want %v", name, rawA, rawB, pair[0], pair[1])
			}
		}
		long, short := Split(a, 5)
		if Total(long)+Total(short) != Total(a) {
			t.Fatalf("Split of %v is %v and %v", a, long, short)
		}
	}
}

// TestRuns finds runs in bitmaps of every length.
func TestRuns(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 200 {
		bitmap := make([]byte, (n+7)/8)
		for i := range bitmap {
			bitmap[i] = byte(r.Uint32()) & byte(r.Uint32()) * byte(r.IntN(2)) // long runs too
		}
		var clear, set, wantClear, wantSet []Range
		for i := range n {
			if bitmap[i/8]>>(i%8)&1 == 0 {
				wantClear = Append(wantClear, uint64(i), uint64(i+1))
			} else {
				wantSet = Append(wantSet, uint64(i), uint64(i+1))
			}
		}
		ClearRuns(bitmap, n, func(from, to int) { clear = append(clear, Range{uint64(from), uint64(to)}) })
		SetRuns(bitmap, n, func(from, to int) { set = append(set, Range{uint64(from), uint64(to)}) })
		if fmt.Sprint(clear, set) != fmt.Sprint(wantClear, wantSet) {
			t.Fatalf("%x: runs %v and %v, want %v and %v", bitmap, clear, set, wantClear, wantSet)
		}
	}
}

func BenchmarkClearRuns(b *testing.B) {
	bitmap := make([]byte, 4096)
	for i := range bitmap {
		bitmap[i] = byte(i / 3)
	}
	b.SetBytes(int64(len(bitmap)))
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		ClearRuns(bitmap, len(bitmap)*8, func(from, to int) { n += to - from })
	}
	if n == 0 {
		b.Fatal("no runs")
	}
}
