package server

import (
	"sync/atomic"
	"time"
)

// slowOp is what counts as slow.
const slowOp = time.Millisecond

// timing sums up what was read or written. It may be used by several
// goroutines.
type timing struct{ ops, bytes, took, longest, slow atomic.Int64 }

// Timing is how long calls of one kind took.
type Timing struct {
	Calls   uint64
	Bytes   uint64
	Took    time.Duration // all together
	Longest time.Duration
	Slow    uint64 // of a millisecond or more
}

func (t *timing) add(bytes int, took time.Duration) {
	t.ops.Add(1)
	t.bytes.Add(int64(bytes))
	t.took.Add(int64(took))
	for was := t.longest.Load(); int64(took) > was && !t.longest.CompareAndSwap(was, int64(took)); {
		was = t.longest.Load()
	}
	if took >= slowOp {
		t.slow.Add(1)
	}
}

func (t *timing) sum() Timing {
	return Timing{
		Calls: uint64(t.ops.Load()), Bytes: uint64(t.bytes.Load()), Took: time.Duration(t.took.Load()),
		Longest: time.Duration(t.longest.Load()), Slow: uint64(t.slow.Load()),
	}
}
