package sig

import (
	"context"
	"sync"
)

// turns puts what workers do at once back into its order. Work is begun in its
// order, so that the first that is not done is always being done.
type turns struct {
	mu      sync.Mutex
	next    int
	waiting map[int]chan struct{} // one for each worker at most
}

// wait returns when it is the turn of i. It fails only if ctx ends, as it must
// when the work before i fails.
func (t *turns) wait(ctx context.Context, i int) error {
	t.mu.Lock()
	if t.next == i {
		t.mu.Unlock()
		return nil
	}
	if t.waiting == nil {
		t.waiting = map[int]chan struct{}{}
	}
	turn := make(chan struct{})
	t.waiting[i] = turn
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pass ends the turn.
func (t *turns) pass() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next++
	if turn, ok := t.waiting[t.next]; ok {
		close(turn)
		delete(t.waiting, t.next)
	}
}
