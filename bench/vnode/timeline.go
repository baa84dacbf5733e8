package vnode

import (
	"sync"
	"time"
)

// Phase is what a node is doing.
type Phase string

// The phases, in the order of a load and boot.
const (
	PhaseOff      Phase = "off"
	PhaseFirmware Phase = "firmware"
	PhaseDHCP     Phase = "dhcp"
	PhaseTFTP     Phase = "tftp"
	PhaseBootinfo Phase = "bootinfo"
	PhaseWait     Phase = "pxewait"  // in the loader, for orders
	PhaseMFS      Phase = "mfs"      // a memory file system starts
	PhaseLoadInfo Phase = "loadinfo" // the disk loader asks what to load
	PhaseLoading  Phase = "loading"
	PhaseLoaded   Phase = "loaded" // waits to be rebooted
	PhaseBoot     Phase = "boot"   // of the disk
	PhaseSetup    Phase = "tbsetup"
	PhaseUp       Phase = "isup"
	PhaseFailed   Phase = "failed" // dead until its power is switched
	PhaseHung     Phase = "hung"   // an injected hang
)

// Event is one thing a node did.
type Event struct {
	At    time.Time
	Node  string
	Life  int // which boot since the Node was made, from 1
	Phase Phase
	Text  string // for people

	// Of a file or an image being fetched.
	Bytes, BytesTotal int64
	BytesPerSec       float64
	// Progress marks a repeated report of the same phase, which the timeline
	// does not keep.
	Progress bool
}

// timelineEventsMax bounds what a node remembers; the oldest go first.
const timelineEventsMax = 1000

type timeline struct {
	mu      sync.Mutex
	events  []Event
	last    Event         // progress included
	changed chan struct{} // closed at the next event
}

func (t *timeline) add(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = e
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
	if e.Progress {
		return
	}
	if len(t.events) == timelineEventsMax {
		t.events = append(t.events[:0], t.events[timelineEventsMax/10:]...)
	}
	t.events = append(t.events, e)
}

func (t *timeline) list() []Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Event(nil), t.events...)
}

func (t *timeline) now() Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// next returns the last event, and a channel that is closed when there is
// another.
func (t *timeline) next() (Event, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return t.last, t.changed
}
