package pebblekv

import (
	"math"
	"sync"
	"sync/atomic"
)

// gate counts the calls inside the store without a lock, and lets Close wait
// until the last of them has left.
type gate struct {
	inside  atomic.Int64 // biased by gateShut once shut
	once    sync.Once
	drained chan struct{}
}

const gateShut = math.MinInt64 / 2

func newGate() *gate { return &gate{drained: make(chan struct{})} }

// enter reports whether the gate is open. If so, the caller must leave.
func (g *gate) enter() bool {
	if g.inside.Add(1) > 0 {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() { g.checkDrained(g.inside.Add(-1)) }

// shut refuses further entry; drained is closed when nobody is inside.
// It is called once.
func (g *gate) shut() { g.checkDrained(g.inside.Add(gateShut)) }

func (g *gate) checkDrained(inside int64) {
	if inside == gateShut {
		g.once.Do(func() { close(g.drained) })
	}
}
