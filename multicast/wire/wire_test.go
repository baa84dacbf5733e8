package wire_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"hyzer/multicast/wire"
)

// TestBlockMap compares with a map of blocks.
func TestBlockMap(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		var m wire.BlockMap
		model := map[int]bool{}
		for range rng.IntN(6) {
			first := rng.IntN(wire.ChunkBlocks)
			count := rng.IntN(wire.ChunkBlocks - first + 1)
			remove := rng.IntN(3) == 0
			if remove {
				m.RemoveRange(first, count)
			} else {
				m.AddRange(first, count)
			}
			for n := first; n < first+count; n++ {
				model[n] = !remove
			}
		}
		checkBlockMap(t, &m, model)
	}
}

func checkBlockMap(t *testing.T, m *wire.BlockMap, model map[int]bool) {
	t.Helper()
	first, last, count, run := wire.ChunkBlocks, -1, 0, 0
	for n := range wire.ChunkBlocks {
		if m.Has(n) != model[n] {
			t.Fatalf("block %d: %v, want %v", n, m.Has(n), model[n])
		}
		if !model[n] {
			continue
		}
		count++
		first, last = min(first, n), n
		if n == first+run {
			run++
		}
	}
	gotFirst, gotRun := m.FirstRun()
	if m.First() != first || m.Last() != last || m.Count() != count || gotFirst != first || gotRun != run {
		t.Fatalf("first %d last %d count %d run %d-%d, want %d %d %d %d", m.First(), m.Last(), m.Count(), gotFirst, gotRun, first, last, count, run)
	}
	var again wire.BlockMap
	again.SetBytes((*[wire.BitmapBytes]byte)(m.AppendBytes(nil)))
	if again != *m {
		t.Fatal("the bytes do not give the set back")
	}
}

func TestGeometry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fileBytes, blocks           int64
		chunks, lastBlocks, lastLen int
	}{
		{1, 1, 1, 1, 1},
		{1024, 1, 1, 1, 1024},
		{1 << 20, 1024, 1, 1024, 1 << 20},
		{1<<20 + 1, 1025, 2, 1, 1},
		{2405129, 2349, 3, 301, 2405129 - 2<<20}, // the golden raw file
		{wire.FileBytesMax, 1 << 33, 1 << 23, 1024, 1 << 20},
	} {
		g, err := wire.NewGeometry(c.fileBytes)
		if err != nil {
			t.Fatal(err)
		}
		last := g.Chunks() - 1
		if g.Blocks() != c.blocks || g.Chunks() != c.chunks || g.ChunkBlocks(last) != c.lastBlocks || g.ChunkLen(last) != c.lastLen {
			t.Errorf("%d bytes: %d blocks, %d chunks, the last of %d blocks, %d bytes", c.fileBytes, g.Blocks(), g.Chunks(), g.ChunkBlocks(last), g.ChunkLen(last))
		}
		whole := g.Whole(last)
		if whole.Count() != c.lastBlocks || g.HasChunk(uint32(c.chunks)) || !g.HasChunk(uint32(last)) {
			t.Errorf("%d bytes: whole last chunk has %d blocks", c.fileBytes, whole.Count())
		}
	}
	for _, n := range []int64{-1, wire.FileBytesMax + 1} {
		if _, err := wire.NewGeometry(n); !errors.Is(err, wire.ErrFileSize) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// TestRefused lists packets that must not decode, with the error.
func TestRefused(t *testing.T) {
	t.Parallel()
	src := [4]byte{10, 0, 0, 1}
	jumbo := wire.NewJoin2Request(1)
	jumbo.BlockBytes = 8192
	for name, c := range map[string]struct {
		datagram []byte
		want     error
	}{
		"empty":                {nil, wire.ErrShort},
		"half a header":        {make([]byte, 15), wire.ErrShort},
		"datalen past the end": {wire.Join{}.Append(nil, wire.Request, src)[:19], wire.ErrShort},
		"type 0":               {wire.Join{}.Append(nil, 0, src), wire.ErrType},
		"type 3":               {wire.Join{}.Append(nil, 3, src), wire.ErrType},
		"subtype 9":            {append([]byte{1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0}, src[:]...), wire.ErrSubtype},
		"block 1024":           {wire.Block{Block: 1024}.Append(nil, src), wire.ErrRange},
		"no blocks":            {wire.BlockRequest{Count: 0}.Append(nil, src), wire.ErrRange},
		"past the chunk":       {wire.BlockRequest{Block: 1023, Count: 2}.Append(nil, src), wire.ErrRange},
		"count wraps":          {wire.BlockRequest{Block: 5, Count: 0xffffffff}.Append(nil, src), wire.ErrRange},
		"jumbo frames":         {jumbo.Append(nil, wire.Request, src), wire.ErrGeometry},
	} {
		if _, err := reencode(c.datagram); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// TestTrailingBytes: extensions after datalen do not disturb.
func TestTrailingBytes(t *testing.T) {
	t.Parallel()
	b := wire.Block{Chunk: 3, Block: 9, Data: []byte("x")}.Append(nil, [4]byte{10, 0, 0, 1})
	again, err := reencode(append(append([]byte(nil), b...), make([]byte, 32)...))
	if err != nil || string(again) != string(b) {
		t.Errorf("error %v", err)
	}
}

func BenchmarkParseBlock(b *testing.B) {
	datagram := wire.Block{Chunk: 3, Block: 9, Data: make([]byte, wire.BlockBytes)}.Append(nil, [4]byte{10, 0, 0, 1})
	b.ReportAllocs()
	for b.Loop() {
		_, body, err := wire.Split(datagram)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := wire.ParseBlock(body); err != nil {
			b.Fatal(err)
		}
	}
}
