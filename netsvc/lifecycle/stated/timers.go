package stated

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
)

// timer is one moment at which a node's deadline or command times out.
type timer struct {
	at         time.Time
	node       string
	command    bool // of the command, not of the state
	generation uint64
}

type timerKey struct {
	node    string
	command bool
}

// timers is the heap of all deadlines: a copy in memory of what is stored. At
// most one of each key.
type timers struct {
	mu    sync.Mutex
	queue timerQueue
	byKey map[timerKey]*timerItem
	seen  map[string]kv.Revision // of the record that each node's timers follow
	wake  chan struct{}
}

type timerItem struct {
	timer
	index int
}

func newTimers() *timers {
	return &timers{byKey: map[timerKey]*timerItem{}, seen: map[string]kv.Revision{}, wake: make(chan struct{}, 1)}
}

// follow makes the heap agree with a node's record of a revision. Records may
// come out of order: an older one changes nothing.
func (t *timers) follow(n states.Node, revision kv.Revision) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if revision < t.seen[n.ID] {
		return
	}
	t.seen[n.ID] = revision
	t.set(timer{n.Deadline.At, n.ID, false, n.Deadline.Generation})
	t.set(timer{n.Command.At, n.ID, true, n.Command.Generation})
	t.nudge()
}

// forget drops what is kept of a node that is gone.
func (t *timers) forget(node string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.seen, node)
}

// again arms a timer that could not be served, unless a newer one is set.
func (t *timers) again(due timer, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byKey[timerKey{due.node, due.command}] != nil {
		return
	}
	due.at = at
	t.set(due)
	t.nudge()
}

func (t *timers) set(next timer) {
	key := timerKey{next.node, next.command}
	item := t.byKey[key]
	switch {
	case next.at.IsZero():
		if item != nil {
			heap.Remove(&t.queue, item.index)
			delete(t.byKey, key)
		}
	case item != nil:
		item.timer = next
		heap.Fix(&t.queue, item.index)
	default:
		item = &timerItem{timer: next}
		t.byKey[key] = item
		heap.Push(&t.queue, item)
	}
}

func (t *timers) nudge() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// due takes the timers whose time has come, and says when the next one is.
func (t *timers) due(now time.Time) (due []timer, next time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) > 0 {
		first := t.queue[0]
		if first.at.After(now) {
			return due, first.at
		}
		heap.Pop(&t.queue)
		delete(t.byKey, timerKey{first.node, first.command})
		due = append(due, first.timer)
	}
	return due, time.Time{}
}

// firesInFlightMax bounds the time-outs recorded at once, when many nodes come
// due together after a power failure.
const firesInFlightMax = 64

func (t *timers) run(ctx context.Context, fire func(context.Context, timer)) {
	var work sync.WaitGroup
	defer work.Wait()
	slots := make(chan struct{}, firesInFlightMax)
	for {
		due, next := t.due(time.Now())
		for _, one := range due {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			work.Go(func() {
				defer func() { <-slots }()
				fire(ctx, one)
			})
		}
		if !t.sleep(ctx, next) {
			return
		}
	}
}

// sleep waits until a time (zero: for ever) or a change; false ends the loop.
func (t *timers) sleep(ctx context.Context, until time.Time) bool {
	var alarm <-chan time.Time
	if !until.IsZero() {
		clock := time.NewTimer(time.Until(until))
		defer clock.Stop()
		alarm = clock.C
	}
	select {
	case <-alarm:
	case <-t.wake:
	case <-ctx.Done():
		return false
	}
	return true
}

// timerQueue implements heap.Interface, earliest first.
type timerQueue []*timerItem

func (q timerQueue) Len() int           { return len(q) }
func (q timerQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q timerQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *timerQueue) Push(x any) {
	item := x.(*timerItem)
	item.index = len(*q)
	*q = append(*q, item)
}
func (q *timerQueue) Pop() any {
	old := *q
	item := old[len(old)-1]
	*q = old[:len(old)-1]
	return item
}
