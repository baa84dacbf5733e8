package fec

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
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
	which := rng.Perm(ParityBlocks)
	for i, b := range rng.Perm(blocks)[:lost] {
		missing.AddRange(b, 1)
		held = append(held, Symbol{Parity: uint16(which[i]), Slot: uint16(b)})
		copy(chunk[b*wire.BlockBytes:], parity[which[i]*wire.BlockBytes:][:wire.BlockBytes])
	}
	return chunk, &missing, held
}

func TestRestore(t *testing.T) {
	t.Parallel()
	var code Code
	for _, c := range []struct{ bytes, lost int }{
		{wire.ChunkBytes, 0}, {wire.ChunkBytes, 1}, {wire.ChunkBytes, 50}, {wire.ChunkBytes, ParityBlocks},
		{1, 1}, {5000, 5}, {700*wire.BlockBytes + 1, 256}, {wire.ChunkBytes - 1, 100},
	} {
		t.Run(fmt.Sprintf("%d of %d bytes", c.lost, c.bytes), func(t *testing.T) {
			t.Parallel()
			want, parity := randomChunk(c.bytes), make([]byte, ParityBytes)
			if err := code.Encode(want, parity); err != nil {
				t.Fatal(err)
			}
			blocks := (c.bytes + wire.BlockBytes - 1) / wire.BlockBytes
			rng := rand.New(rand.NewPCG(uint64(c.bytes), uint64(c.lost)))
			chunk, missing, held := lose(t, want, parity, blocks, c.lost, rng)
			if err := code.Restore(chunk, missing, held); err != nil || !bytes.Equal(chunk[:c.bytes], want) {
				t.Fatalf("error %v, equal %v", err, bytes.Equal(chunk[:c.bytes], want))
			}
			if c.lost > 0 {
				if err := code.Restore(chunk, missing, held[1:]); !errors.Is(err, ErrTooFew) {
					t.Errorf("one parity block short: %v", err)
				}
			}
		})
	}
}

// TestGolden pins the code: a client and a server of different releases must
// agree on it.
func TestGolden(t *testing.T) {
	t.Parallel()
	var code Code
	parity := make([]byte, ParityBytes)
	if err := code.Encode(randomChunk(wire.ChunkBytes), parity); err != nil {
		t.Fatal(err)
	}
	if got := crc32.ChecksumIEEE(parity); got != 0x81f5fd2f {
		t.Errorf("CRC-32 of the parity of the test chunk is %#x", got)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	var code Code
	if code.Encode(make([]byte, wire.ChunkBytes+1), make([]byte, ParityBytes)) == nil || code.Encode(nil, nil) == nil {
		t.Error("lengths are not checked")
	}
	var missing wire.BlockMap
	missing.AddRange(1, 1)
	for _, s := range []Symbol{{ParityBlocks, 1}, {1, 900}} {
		if code.Restore(make([]byte, 5*wire.BlockBytes), &missing, []Symbol{s}) == nil {
			t.Errorf("%+v taken", s)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	var code Code
	chunk, parity := randomChunk(wire.ChunkBytes), make([]byte, ParityBytes)
	b.SetBytes(wire.ChunkBytes)
	b.ReportAllocs()
	for b.Loop() {
		if err := code.Encode(chunk, parity); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRestore(b *testing.B) {
	for _, lost := range []int{1, 10, 50, 256} {
		b.Run(fmt.Sprint(lost), func(b *testing.B) {
			var code Code
			want, parity := randomChunk(wire.ChunkBytes), make([]byte, ParityBytes)
			if err := code.Encode(want, parity); err != nil {
				b.Fatal(err)
			}
			chunk, missing, held := lose(b, want, parity, wire.ChunkBlocks, lost, rand.New(rand.NewPCG(1, 1)))
			b.SetBytes(wire.ChunkBytes)
			b.ReportAllocs()
			for b.Loop() {
				if err := code.Restore(chunk, missing, held); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
