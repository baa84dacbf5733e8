package deflate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// manyKeys are keys of n symbols, with counts below most, some of them alike.
func manyKeys(r *rand.Rand, n int, most uint32) []uint32 {
	keys := make([]uint32, n)
	for symbol := range keys {
		keys[symbol] = (1+r.Uint32N(most-1)>>r.IntN(8))<<symbolBits | uint32(symbol)
	}
	return keys
}

// TestSortKeys holds the order of keys against the library's.
func TestSortKeys(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewChaCha8([32]byte{9}))
	for _, n := range []int{2, 19, fewKeys - 1, fewKeys, litSymbols, 1 << symbolBits} {
		for _, most := range []uint32{2, 200, 256, 257, 60_000, 1 << 16, 1 << 18, 1<<(32-symbolBits) - 1} {
			keys := manyKeys(r, n, most)
			want := slices.Clone(keys)
			slices.Sort(want)
			if sortKeys(keys); !slices.Equal(keys, want) {
				t.Errorf("%d keys of counts below %d are not in order", n, most)
			}
		}
	}
}

func BenchmarkSortKeys(b *testing.B) {
	r := rand.New(rand.NewChaCha8([32]byte{9}))
	for _, n := range []int{20, fewKeys, 100, 286} {
		all := make([][]uint32, 64)
		for i := range all {
			all[i] = manyKeys(r, n, 4000)
		}
		keys := make([]uint32, n)
		for _, by := range []struct {
			name string
			sort func([]uint32)
		}{{"digits", sortKeys}, {"comparing", slices.Sort[[]uint32]}} {
			b.Run(fmt.Sprintf("%d %s", n, by.name), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					copy(keys, all[i%len(all)])
					by.sort(keys)
				}
			})
		}
	}
}
