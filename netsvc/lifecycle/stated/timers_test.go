package stated

import (
	"fmt"
	"testing"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
)

// TestTimersOutOfOrder: whatever the order in which records of one node come,
// the newest one's deadline is what is due, once.
func TestTimersOutOfOrder(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1e9, 0)
	record := func(deadline, generation int) states.Node {
		n := states.Node{ID: "pc1", Generation: uint64(generation)}
		if deadline > 0 {
			n.Deadline = states.Deadline{At: begin.Add(time.Duration(deadline) * time.Second), Generation: uint64(generation)}
		}
		return n
	}
	records := []states.Node{record(10, 1), record(0, 1), record(20, 2)} // set, cleared, set anew
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			timers := newTimers()
			for _, i := range order {
				timers.follow(records[i], kv.Revision(i+1))
			}
			if due, next := timers.due(begin.Add(15 * time.Second)); len(due) != 0 || !next.Equal(begin.Add(20*time.Second)) {
				t.Errorf("after 15 s: due %+v, next %s", due, next)
			}
			due, _ := timers.due(begin.Add(20 * time.Second))
			if len(due) != 1 || due[0].generation != 2 {
				t.Errorf("after 20 s: due %+v, want generation 2", due)
			}
			if due, next := timers.due(begin.Add(time.Hour)); len(due) != 0 || !next.IsZero() {
				t.Errorf("it fires again: %+v, next %s", due, next)
			}
		})
	}
}

// TestTimersAgain: a time-out that could not be recorded comes back, unless a
// newer one was set meanwhile.
func TestTimersAgain(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1e9, 0)
	timers := newTimers()
	lost := timer{node: "pc1", generation: 1}
	timers.again(lost, begin)
	if due, _ := timers.due(begin); len(due) != 1 || due[0].generation != 1 {
		t.Errorf("due %+v", due)
	}
	timers.follow(states.Node{ID: "pc1", Deadline: states.Deadline{At: begin.Add(time.Minute), Generation: 2}}, 1)
	timers.again(lost, begin)
	if due, next := timers.due(begin); len(due) != 0 || !next.Equal(begin.Add(time.Minute)) {
		t.Errorf("due %+v, next %s", due, next)
	}
}
