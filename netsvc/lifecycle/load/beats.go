package load

import (
	"sync"
	"time"
)

// How a loader's heartbeats count (page load, waiting). Only those count that
// say that more was written.
const (
	// beatAgeMax is how old a heartbeat may be that keeps a load from timing out.
	beatAgeMax = 120 * time.Second
	// silenceMax is how long a loader may write nothing, once it has begun and
	// until it is done with its image.
	silenceMax = 180 * time.Second
)

// beats is what loaders say of themselves. It is not stored: after a restart
// the next heartbeat comes in a second.
type beats struct {
	mu     sync.Mutex
	byNode map[string]beat
	begins map[*follower]func() // called when a loader is first heard
}

type beat struct {
	chunks  int
	moved   time.Time // when chunks last changed
	writing bool      // it is not done with its image
}

func newBeats() *beats {
	return &beats{byNode: map[string]beat{}, begins: map[*follower]func(){}}
}

// Beat says that a node's loader has written so many chunks of its image.
func (m *Manager) Beat(node string, chunks int) {
	b := m.beats
	b.mu.Lock()
	defer b.mu.Unlock()
	was, known := b.byNode[node]
	if known && was.writing && was.chunks == chunks {
		return
	}
	b.byNode[node] = beat{chunks: chunks, moved: time.Now(), writing: true}
	if known && was.writing {
		return
	}
	for _, begins := range b.begins {
		begins()
	}
}

// BeatsEnd says that a node's loader is done with an image. What it does next
// (slices, boot blocks) has no heartbeats.
func (m *Manager) BeatsEnd(node string) {
	b := m.beats
	b.mu.Lock()
	defer b.mu.Unlock()
	if was, known := b.byNode[node]; known {
		was.writing = false
		b.byNode[node] = was
	}
}

// forget drops what a node said, when its attempt begins or is over.
func (b *beats) forget(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byNode, node)
}

func (b *beats) of(node string) (beat, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, known := b.byNode[node]
	return last, known
}

// onBegin has begins called when a loader is first heard, until stop is.
func (b *beats) onBegin(f *follower, begins func()) (stop func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.begins[f] = begins
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.begins, f)
	}
}

// endsAt is when a row is given up if nothing more is heard: a loader that
// writes is not out of time, one that stopped writing is before it is.
func (b *beat) endsAt(deadline time.Time) time.Time {
	if alive := b.moved.Add(beatAgeMax); alive.After(deadline) {
		deadline = alive
	}
	if silent := b.moved.Add(silenceMax); b.writing && silent.Before(deadline) {
		deadline = silent
	}
	return deadline
}
