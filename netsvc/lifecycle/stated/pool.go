package stated

import (
	"context"
	"sync"

	"hyzer/storage/registry"
)

// Workers under way at once. Power controllers and management networks fail
// when all of a site is switched together; a probe is one small packet a
// second, for up to states.PingUpFor.
const (
	workersMax = 64
	probesMax  = 1024
)

// pool runs errands, those of one node in order and one at a time. What waits
// is no more than the store holds; one slow node keeps one worker.
type pool struct {
	do  func(context.Context, *registry.Errand)
	max int

	mu     sync.Mutex
	ctx    context.Context // of run; nil while it does not run
	known  map[string]bool // keys of errands that wait or run
	queues map[string][]*registry.Errand
	ready  []string // nodes whose first errand waits for a worker
	busy   int
	work   sync.WaitGroup
}

func newPool(limit int, do func(context.Context, *registry.Errand)) *pool {
	return &pool{do: do, max: limit, known: map[string]bool{}, queues: map[string][]*registry.Errand{}}
}

// add queues an errand, unless it is queued already.
func (p *pool) add(e *registry.Errand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[e.Key()] {
		return
	}
	p.known[e.Key()] = true
	p.queues[e.Node] = append(p.queues[e.Node], e)
	if len(p.queues[e.Node]) == 1 {
		p.ready = append(p.ready, e.Node)
	}
	p.start()
}

// run lets workers run until ctx ends, and waits for them.
func (p *pool) run(ctx context.Context) {
	p.mu.Lock()
	p.ctx = ctx
	p.start()
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.ctx = nil
	p.mu.Unlock()
	p.work.Wait()
}

// start gives ready nodes a worker each. Under mu.
func (p *pool) start() {
	for p.ctx != nil && p.ctx.Err() == nil && p.busy < p.max && len(p.ready) > 0 {
		node, ctx := p.ready[0], p.ctx
		p.ready = p.ready[1:]
		p.busy++
		first := p.queues[node][0]
		p.work.Go(func() {
			p.do(ctx, first)
			p.done(first)
		})
	}
}

// done takes an errand off and lets the next node have the worker.
func (p *pool) done(e *registry.Errand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy--
	delete(p.known, e.Key())
	if rest := p.queues[e.Node][1:]; len(rest) > 0 {
		p.queues[e.Node] = rest
		p.ready = append(p.ready, e.Node)
	} else {
		delete(p.queues, e.Node)
	}
	p.start()
}
