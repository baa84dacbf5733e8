package stated

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// runErrand does one errand and removes it, together with what its outcome
// does to the node.
func (r *Runner) runErrand(ctx context.Context, e *registry.Errand) {
	outcome, err := r.act(ctx, e)
	if ctx.Err() != nil {
		return // stopping: it is done after the restart
	}
	if err != nil {
		r.cfg.Log.Warn("errand failed", "node", e.Node, "errand", e.Kind, "method", e.Method, "error", err)
	}
	remove := func(tx *registry.Tx) error { return registry.Delete[registry.Errand](tx, e.Key()) }
	for {
		err := r.apply(ctx, e.Node, remove, outcome...)
		if errors.Is(err, registry.ErrNotFound) { // the node was deleted
			_, err = r.cfg.Registry.Update(ctx, remove)
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		r.cfg.Log.Error("end of errand not recorded; trying again", "node", e.Node, "errand", e.Kind, "error", err)
		select {
		case <-time.After(fireRetryDelay):
		case <-ctx.Done():
			return
		}
	}
}

// act does the errand and returns the events that its outcome is.
func (r *Runner) act(ctx context.Context, e *registry.Errand) ([]states.Event, error) {
	switch states.EffectKind(e.Kind) {
	case states.EffectStartCommand:
		err := r.cfg.Actor.Reboot(ctx, e.Node, states.Method(e.Method))
		return []states.Event{states.CommandDone(states.SourceReboot, e.Generation, err == nil)}, err
	case states.EffectReboot:
		return nil, r.cfg.Actor.Reboot(ctx, e.Node, states.Method(e.Method))
	case states.EffectPingUp:
		if r.cfg.Actor.PingUp(ctx, e.Node) {
			return []states.Event{states.ReportForLife(states.SourcePing, states.State(e.State), e.Life)}, nil
		}
		return nil, errors.New("no answer to pings")
	case states.EffectRunScript:
		return nil, r.cfg.Actor.RunScript(ctx, e.Node, e.Script)
	}
	return nil, errors.New("errand of a kind that this version does not know")
}

// workersMax bounds reboots and probes under way at once: power controllers
// and management networks fail when all of a site is switched together.
const workersMax = 64

// pool runs errands on workers, those of one node in order.
type pool struct {
	do    func(context.Context, *registry.Errand)
	seed  maphash.Seed
	lanes [workersMax]lane
}

// lane is one worker's queue. It holds no more errands than the store does.
type lane struct {
	mu    sync.Mutex
	queue []*registry.Errand
	wake  chan struct{}
}

func newPool(do func(context.Context, *registry.Errand)) *pool {
	p := &pool{do: do, seed: maphash.MakeSeed()}
	for i := range p.lanes {
		p.lanes[i].wake = make(chan struct{}, 1)
	}
	return p
}

func (p *pool) add(e *registry.Errand) {
	l := &p.lanes[maphash.String(p.seed, e.Node)%workersMax]
	l.mu.Lock()
	l.queue = append(l.queue, e)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (p *pool) run(ctx context.Context) {
	var work sync.WaitGroup
	for i := range p.lanes {
		work.Go(func() { p.lanes[i].run(ctx, p.do) })
	}
	work.Wait()
}

func (l *lane) run(ctx context.Context, do func(context.Context, *registry.Errand)) {
	for {
		for e := l.next(); e != nil && ctx.Err() == nil; e = l.next() {
			do(ctx, e)
		}
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (l *lane) next() *registry.Errand {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	e := l.queue[0]
	l.queue = l.queue[1:]
	return e
}
