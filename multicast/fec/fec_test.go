package fec

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"testing"

	"hyzer/multicast/wire"
)

func randomChunk(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// lose removes blocks and puts parity blocks in some of their slots.
func lose(t testing.TB, want, parity []byte, blocks, lost int, rng *rand.Rand) ([]byte, *wire.BlockMap, []Symbol) {
	t.Helper()
	chunk := make([]byte, blocks*wire.BlockBytes)
	copy(chunk, want)
	var missing wire.BlockMap
	var held []Symbol
	which := rng.Perm(min(ParityBlocks, lost+lost/4+1)) // the first come first
	for i, b := range rng.Perm(blocks)[:lost] {
		missing.AddRange(b, 1)
		held = append(held, Symbol{Parity: uint16(which[i]), Slot: uint16(b)})
		copy(chunk[b*wire.BlockBytes:], parity[which[i]*wire.BlockBytes:][:wire.BlockBytes])
	}
	return chunk, &missing, held
}

// naive computes a parity block by the formula of the package's description,
// with a multiplication of its own.
func naive(chunk []byte, r int) []byte {
	times := func(a, b int) (p int) {
		for ; b > 0; a, b = a<<1, b>>1 {
			if a >= 256 {
				a ^= 0x11d
			}
			p ^= a * (b & 1)
		}
		return p
	}
	power := func(a, n int) int {
		p := 1
		for range n {
			p = times(p, a)
		}
		return p
	}
	out := make([]byte, wire.BlockBytes)
	for i := range (len(chunk) + wire.BlockBytes - 1) / wire.BlockBytes {
		c := times(power(2, r*(i%8)%255), power((r%128)^(128+i/8), 254)) // to the 254th: the inverse
		for k, b := range block(chunk, i) {
			out[k] ^= byte(times(c, int(b)))
		}
	}
	return out
}

// coders are the ways of computing that this processor has.
func coders() []*Coder { return []*Coder{{}, {plain: true}} }

// TestEncode holds all ways of computing parity blocks against the formula.
func TestEncode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bytes, first, count int }{
		{wire.ChunkBytes, 0, 1}, {wire.ChunkBytes, 3, 2}, {wire.ChunkBytes, 0, 4}, {wire.ChunkBytes, 0, 8}, {wire.ChunkBytes, 7, 40}, {wire.ChunkBytes, 0, ParityBlocks},
		{1, 0, 3}, {5000, 0, 20}, {700*wire.BlockBytes + 1, 120, 16}, {wire.ChunkBytes - 1, 255, 1},
	} {
		chunk := randomChunk(c.bytes)
		for _, r := range []int{0, c.count / 2, c.count - 1} {
			want := naive(chunk, c.first+r)
			for _, code := range coders() {
				got := make([]byte, c.count*wire.BlockBytes)
				if err := code.Encode(chunk, c.first, got); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got[r*wire.BlockBytes:][:wire.BlockBytes], want) {
					t.Errorf("%d bytes, %d from %d, plain %v: parity block %d is wrong", c.bytes, c.count, c.first, code.plain, c.first+r)
				}
			}
		}
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bytes, lost int }{
		{wire.ChunkBytes, 0}, {wire.ChunkBytes, 1}, {wire.ChunkBytes, 5}, {wire.ChunkBytes, 50}, {wire.ChunkBytes, ParityBlocks},
		{1, 1}, {5000, 5}, {700*wire.BlockBytes + 1, 256}, {wire.ChunkBytes - 1, 100},
	} {
		t.Run(fmt.Sprintf("%d of %d bytes", c.lost, c.bytes), func(t *testing.T) {
			t.Parallel()
			ways := coders()
			want, parity := randomChunk(c.bytes), make([]byte, ParityBytes)
			if err := ways[0].Encode(want, 0, parity); err != nil {
				t.Fatal(err)
			}
			blocks := (c.bytes + wire.BlockBytes - 1) / wire.BlockBytes
			for seed := range uint64(20) {
				code := ways[seed%2]
				chunk, missing, held := lose(t, want, parity, blocks, c.lost, rand.New(rand.NewPCG(uint64(c.bytes), seed)))
				if c.lost > 0 {
					if err := code.Restore(bytes.Clone(chunk), missing, held[1:]); !errors.Is(err, ErrTooFew) {
						t.Errorf("one parity block short: %v", err)
					}
				}
				enough := len(Independent(missing, slices.Clone(held))) == c.lost
				err := code.Restore(chunk, missing, held)
				if enough && (err != nil || !bytes.Equal(chunk[:c.bytes], want)) || !enough && !errors.Is(err, ErrTooFew) {
					t.Fatalf("seed %d: enough %v, error %v, equal %v", seed, enough, err, bytes.Equal(chunk[:c.bytes], want))
				}
			}
		})
	}
}

// TestIndependent: as many parity blocks as are missing are enough but about
// one time in 255, whatever is lost, and those of one group always are.
func TestIndependent(t *testing.T) {
	t.Parallel()
	const draws = 3000
	for name, lose := range map[string]func(*rand.Rand) []int{
		"1":             func(r *rand.Rand) []int { return r.Perm(wire.ChunkBlocks)[:1] },
		"2":             func(r *rand.Rand) []int { return r.Perm(wire.ChunkBlocks)[:2] },
		"10":            func(r *rand.Rand) []int { return r.Perm(wire.ChunkBlocks)[:10] },
		"a run of 8":    func(r *rand.Rand) []int { return run(r.IntN(1000), 8) },
		"runs of 8":     func(r *rand.Rand) []int { return append(run(r.IntN(300), 8), run(300+r.IntN(700), 8)...) },
		"one per group": func(r *rand.Rand) []int { n := 8 * r.IntN(120); return []int{n, n + 9, n + 18, n + 27} },
		"of one group":  func(r *rand.Rand) []int { return ofGroup(r, 20) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 2))
			failed := 0
			for range draws {
				var missing wire.BlockMap
				for _, b := range lose(rng) {
					missing.AddRange(b, 1)
				}
				held := make([]Symbol, missing.Count())
				for i, p := range slices.Sorted(slices.Values(rng.Perm(2 * len(held))[:len(held)])) {
					held[i].Parity = uint16(p)
				}
				if len(Independent(&missing, held)) < missing.Count() {
					failed++
				}
			}
			most := draws * 2 / order
			if name == "1" || name == "of one group" {
				most = 0
			}
			t.Logf("%d of %d", failed, draws)
			if failed > most {
				t.Errorf("%d of %d times not enough, want at most %d", failed, draws, most)
			}
		})
	}
}

func run(first, n int) (list []int) {
	for i := range n {
		list = append(list, first+i)
	}
	return list
}

func ofGroup(r *rand.Rand, n int) []int {
	g, list := r.IntN(groups), r.Perm(groupBlocks)[:n]
	for i := range list {
		list[i] = list[i]*groups + g
	}
	return list
}

// TestGolden pins the code: a client and a server of different releases must
// agree on it.
func TestGolden(t *testing.T) {
	t.Parallel()
	var code Coder
	parity := make([]byte, ParityBytes)
	if err := code.Encode(randomChunk(wire.ChunkBytes), 0, parity); err != nil {
		t.Fatal(err)
	}
	if got := crc32.ChecksumIEEE(parity); got != 0xdf73138b {
		t.Errorf("CRC-32 of the parity of the test chunk is %#x", got)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	var code Coder
	for _, c := range []struct{ chunk, first, parity int }{
		{wire.ChunkBytes + 1, 0, wire.BlockBytes}, {5, -1, wire.BlockBytes}, {5, ParityBlocks, wire.BlockBytes}, {5, 0, 5},
	} {
		if code.Encode(make([]byte, c.chunk), c.first, make([]byte, c.parity)) == nil {
			t.Errorf("%+v taken", c)
		}
	}
	for _, s := range []Symbol{{ParityBlocks, 1}, {1, 900}} {
		var missing wire.BlockMap
		missing.AddRange(1, 1)
		if code.Restore(make([]byte, 5*wire.BlockBytes), &missing, []Symbol{s}) == nil {
			t.Errorf("%+v taken", s)
		}
		missing.AddRange(7, 1)
		if code.Restore(make([]byte, 5*wire.BlockBytes), &missing, []Symbol{{1, 1}, {2, 2}}) == nil {
			t.Error("a block past the end restored")
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, directMaxLeaves + 1, directMax, directMax + 1, 16, 32, 64, ParityBlocks} {
		for _, code := range coders() {
			b.Run(fmt.Sprintf("parity=%d/plain=%v", n, code.plain), func(b *testing.B) {
				chunk, parity := randomChunk(wire.ChunkBytes), make([]byte, n*wire.BlockBytes)
				b.SetBytes(wire.ChunkBytes)
				b.ReportAllocs()
				for b.Loop() {
					if err := code.Encode(chunk, 0, parity); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRestore takes chunks that are in no cache, as a client's are. Plain is as on
// a processor without vector instructions of ours.
func BenchmarkRestore(b *testing.B) {
	for _, lost := range []int{1, 5, 10, 20, 50, 100, 256} {
		for _, code := range coders() {
			b.Run(fmt.Sprintf("lost=%d/plain=%v", lost, code.plain), func(b *testing.B) { benchmarkRestore(b, code, lost) })
		}
	}
}

func benchmarkRestore(b *testing.B, code *Coder, lost int) {
	const chunks = 64
	want, parity := randomChunk(wire.ChunkBytes), make([]byte, ParityBytes)
	if err := code.Encode(want, 0, parity); err != nil {
		b.Fatal(err)
	}
	type lossy struct {
		chunk   []byte
		missing *wire.BlockMap
		held    []Symbol
	}
	var all []lossy
	for seed := uint64(1); len(all) < chunks; seed++ {
		chunk, missing, held := lose(b, want, parity, wire.ChunkBlocks, lost, rand.New(rand.NewPCG(1, seed)))
		if len(Independent(missing, slices.Clone(held))) == lost {
			all = append(all, lossy{chunk, missing, held})
		}
	}
	b.SetBytes(wire.ChunkBytes)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if l := all[i%chunks]; code.Restore(l.chunk, l.missing, l.held) != nil {
			b.Fatal("not restored")
		}
	}
}

func BenchmarkIndependent(b *testing.B) {
	for _, lost := range []int{10, 50, 256} {
		b.Run(fmt.Sprint(lost), func(b *testing.B) {
			var missing wire.BlockMap
			held := make([]Symbol, lost)
			for i := range held {
				missing.AddRange(i*3, 1)
				held[i].Parity = uint16(i)
			}
			b.ReportAllocs()
			for b.Loop() {
				Independent(&missing, held)
			}
		})
	}
}
