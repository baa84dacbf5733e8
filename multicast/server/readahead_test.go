package server

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hyzer/multicast/wire"
)

// newTestAhead is a readahead of an image of ten chunks, the last one short.
func newTestAhead(t *testing.T, pool *ReadPool) (*readahead, []byte) {
	t.Helper()
	data := make([]byte, 9*wire.ChunkBytes+5000)
	rand.NewChaCha8([32]byte{1}).Read(data)
	image := bytesImage{bytes.NewReader(data)}
	geo, err := wire.NewGeometry(image.Size())
	if err != nil {
		t.Fatal(err)
	}
	return newReadahead(image, geo, pool), data
}

// settle does all reads that are asked for.
func settle(t *testing.T, r *readahead) (reads int) {
	t.Helper()
	f := newFramer(r.image, r.geo, [4]byte{})
	for r.loading > 0 {
		l := <-r.jobs
		l.err = r.load(t.Context(), l.held, f.readFull)
		r.done <- l
		if err := r.collect(); err != nil {
			t.Fatal(err)
		}
		reads++
		r.want(time.Unix(0, 0))
	}
	return reads
}

func wholeNeed(r *readahead, chunk int) need {
	return need{chunk: chunk, blocks: r.geo.Whole(chunk), parity: noParity, whole: true}
}

// TestReadAhead: what is wished for is read once, in its order, and is there
// for repairs; it is read again if all of it is asked for again.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	r, data := newTestAhead(t, NewReadPool(1<<30))
	some := needRange(3, 10, 2)
	some.blocks.AddRange(900, 1)
	last := r.geo.ChunkBlocks(9)
	for _, c := range []struct {
		what   string
		wishes []need
		reads  int
	}{
		{"first", []need{wholeNeed(r, 0), wholeNeed(r, 9)}, 2},
		{"again", []need{wholeNeed(r, 0), wholeNeed(r, 9)}, 0},
		{"a part of it", []need{needRange(0, 5, 100)}, 0},
		{"blocks here and there", []need{some}, 1},
		{"one of them", []need{needRange(3, 900, 1)}, 0},
		{"one beside them", []need{needRange(3, 12, 1)}, 1},
		{"two needs of one chunk", []need{needRange(4, 0, 2), wholeNeed(r, 4)}, 1},
	} {
		r.wishes = c.wishes
		r.want(time.Unix(0, 0))
		if n := settle(t, r); n != c.reads {
			t.Errorf("%s: %d reads, want %d", c.what, n, c.reads)
		}
		for _, w := range c.wishes {
			first := w.blocks.First()
			at := w.chunk*wire.ChunkBytes + first*wire.BlockBytes
			if got := r.get(w.chunk, first, 1); !bytes.Equal(got, data[at:at+wire.BlockBytes]) {
				t.Errorf("%s: chunk %d: %d other bytes", c.what, w.chunk, len(got))
			}
		}
	}
	r.sent(9, 0, last)
	if r.get(5, 0, 1) != nil || r.get(3, 500, 1) != nil {
		t.Error("what was not asked for is there")
	}
	if got := r.get(9, 0, last); !bytes.Equal(got, data[9*wire.ChunkBytes:]) {
		t.Errorf("the last chunk: %d bytes", len(got))
	}
	r.wishes = []need{wholeNeed(r, 9)}
	if r.want(time.Unix(0, 0)); settle(t, r) != 1 {
		t.Error("a chunk that was sent whole is not read again for another pass")
	}
}

// TestReadAheadBound: a session holds few chunks however many it sends, less
// where others want some, and lets go of all when it rests.
func TestReadAheadBound(t *testing.T) {
	t.Parallel()
	pool := NewReadPool(20 * wire.ChunkBytes)
	var all []*readahead
	for range 30 {
		r, _ := newTestAhead(t, pool)
		all = append(all, r)
	}
	begin := time.Unix(0, 0)
	for round := range 3 {
		for _, r := range all {
			for chunk := range 10 {
				r.wishes = []need{wholeNeed(r, chunk), wholeNeed(r, (chunk+round)%10)}
				r.want(begin)
				settle(t, r)
			}
		}
	}
	held, most := 0, 0
	for _, r := range all {
		held += len(r.recent)
		most = max(most, len(r.recent))
	}
	if held+pool.free != 20 || most > heldChunksMax || most < 1 {
		t.Errorf("%d chunks are held, %d by one, %d are free", held, most, pool.free)
	}
	for _, r := range all {
		r.wishes = nil
		r.want(begin)
		if at := r.wake(time.Time{}); !r.dry() && !at.Equal(begin.Add(heldRest)) {
			t.Errorf("rests at %v", at)
		}
		r.want(begin.Add(heldRest))
	}
	if pool.free != 20 {
		t.Errorf("%d chunks are free when all rest", pool.free)
	}
}

// TestReadAheadFails: a read that fails for good ends the session.
func TestReadAheadFails(t *testing.T) {
	t.Parallel()
	r, _ := newTestAhead(t, NewReadPool(1<<30))
	broken := errors.New("broken")
	ctx, cancel := context.WithCancel(t.Context())
	woken := make(chan struct{}, loadsMax)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.run(ctx, func(context.Context, []byte, int64) error { return broken }, func() { woken <- struct{}{} })
	}()
	r.wishes = []need{wholeNeed(r, 1)}
	r.want(time.Unix(0, 0))
	<-woken
	if err := r.collect(); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	cancel()
	<-ended
}

// TestReads: what is near each other is read at once.
func TestReads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ blocks, reads [][2]int }{
		{nil, nil},
		{[][2]int{{0, 1023}}, [][2]int{{0, 1023}}},
		{[][2]int{{5, 5}, {7, 9}, {10 + gapBlocksMax, 200}}, [][2]int{{5, 200}}},
		{[][2]int{{5, 5}, {7 + gapBlocksMax, 200}, {1023, 1023}}, [][2]int{{5, 5}, {7 + gapBlocksMax, 200}, {1023, 1023}}},
	} {
		var m wire.BlockMap
		for _, b := range c.blocks {
			m.AddRange(b[0], b[1]-b[0]+1)
		}
		if got := reads(m); !slices.Equal(got, c.reads) {
			t.Errorf("%v: %v, want %v", c.blocks, got, c.reads)
		}
	}
}
