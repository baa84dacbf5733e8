package pebblekv_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
)

// TestCrash runs a random workload on a file system that loses what was not
// synced, crashes before a random file operation, reopens what is left, and
// compares it with a model, several times over. HYZER_CRASH_SEEDS sets the
// number of seeds, HYZER_CRASH_SEED runs one.
func TestCrash(t *testing.T) {
	t.Parallel()
	first, count := uint64(1), uint64(24)
	if testing.Short() {
		count = 8
	}
	if n, err := strconv.ParseUint(os.Getenv("HYZER_CRASH_SEEDS"), 10, 64); err == nil {
		count = n
	}
	if n, err := strconv.ParseUint(os.Getenv("HYZER_CRASH_SEED"), 10, 64); err == nil {
		first, count = n, 1
	}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			const rounds = 4
			c := newCrashTest(t, seed)
			for range rounds {
				// Half of the crashes fall into opening and the first writes.
				c.round(1 + c.rng.Int64N([]int64{60, 600}[c.rng.IntN(2)]))
			}
		})
	}
}

// TestCrashAtEachOperation crashes before each of the first file operations.
func TestCrashAtEachOperation(t *testing.T) {
	t.Parallel()
	step := int64(1)
	if testing.Short() {
		step = 11
	}
	for at := int64(1); at < 120; at += step {
		t.Run(fmt.Sprintf("operation=%d", at), func(t *testing.T) {
			t.Parallel()
			c := newCrashTest(t, uint64(at))
			c.round(at)
			c.round(at)
		})
	}
}

// crashTest is a store that crashes, and what is known about it.
type crashTest struct {
	t     *testing.T
	rng   *rand.Rand
	clock *manualClock
	fs    *vfs.MemFS // as the last crash left it

	mu    sync.Mutex
	model                             // at base
	base  kv.Revision                 // everything up to here was checked
	log   map[kv.Revision]transaction // what each transaction meant to do
	known promises
}

// promises is what the store has said to anybody.
type promises struct {
	acked     kv.Revision // newest acknowledged
	seen      kv.Revision // newest that a View or Revision showed
	delivered kv.Revision // newest that the watcher got
}

type model map[string]entry

type entry struct {
	value    string
	deadline int64 // 0 is none
}

// transaction maps keys to entries; nil deletes.
type transaction map[string]*entry

func newCrashTest(t *testing.T, seed uint64) *crashTest {
	return &crashTest{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), clock: newManualClock(),
		fs: vfs.NewCrashableMem(), model: model{}, log: make(map[kv.Revision]transaction),
	}
}

func (c *crashTest) options(fs vfs.FS) pebblekv.Options {
	opts := quiet(fs)
	opts.Clock = c.clock
	opts.MemTableBytes = 64 << 10
	return opts
}

// round opens the store, works on it until operation at, crashes, and checks.
func (c *crashTest) round(at int64) {
	crash := &crasher{c: c, mem: c.fs, at: at, crashed: make(chan struct{}), rng: rand.New(rand.NewPCG(c.rng.Uint64(), 1)), keep: c.rng.IntN(5) * 25}
	s, err := pebblekv.Open("/db", c.options(withFaults(c.fs, crash.before)))
	if err != nil {
		c.t.Fatalf("open: %v", err)
	}
	c.work(s, crash.crashed)
	crash.now() // unless it did
	if err := s.Close(); err != nil {
		c.t.Fatalf("close: %v", err)
	}
	c.fs, c.known = crash.left, crash.promised
	c.check()
}

// crasher clones the file system, without what it may lose, before the
// operation at, and remembers what was promised by then.
type crasher struct {
	c        *crashTest
	mem      *vfs.MemFS
	at       int64
	ops      atomic.Int64
	keep     int // percent of unsynced data that survives
	rng      *rand.Rand
	once     sync.Once
	crashed  chan struct{}
	left     *vfs.MemFS
	promised promises
}

func (k *crasher) before(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && k.ops.Add(1) == k.at {
		k.now()
	}
	return nil
}

func (k *crasher) now() {
	k.once.Do(func() {
		k.c.mu.Lock()
		k.promised = k.c.known
		k.c.mu.Unlock()
		k.left = k.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: k.keep, RNG: k.rng})
		close(k.crashed)
	})
}

// work runs updaters, a reader and a watcher until the crash or their end.
func (c *crashTest) work(s *pebblekv.Store, crashed <-chan struct{}) {
	ctx, stop := context.WithCancel(context.Background())
	var updaters, others sync.WaitGroup
	for range 4 {
		rng := rand.New(rand.NewPCG(c.rng.Uint64(), 2))
		updaters.Go(func() {
			for range 40 {
				select {
				case <-crashed:
					return
				default:
					c.update(s, rng)
				}
			}
		})
	}
	others.Go(func() { c.read(ctx, s) })
	others.Go(func() { c.follow(ctx, s) })
	updaters.Wait()
	stop()
	others.Wait()
}

var errChanged = errors.New("changed its mind")

// update runs one random transaction.
func (c *crashTest) update(s *pebblekv.Store, rng *rand.Rand) {
	plan := c.plan(rng)
	fails := rng.IntN(10) == 0
	rev, err := s.Update(context.Background(), func(tx kv.Tx) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if fails {
			return errors.Join(errChanged, perform(tx, plan))
		}
		c.log[tx.Revision()+1] = plan
		return perform(tx, plan)
	})
	if fails {
		if !errors.Is(err, errChanged) {
			c.t.Errorf("failing transaction: %v", err)
		}
		return
	}
	if err != nil {
		c.t.Errorf("update: %v", err)
	}
	c.mu.Lock()
	c.known.acked = max(c.known.acked, rev)
	base := c.base
	c.mu.Unlock()
	switch rng.IntN(20) {
	case 0:
		c.clock.advance(time.Duration(rng.IntN(2000)) * time.Millisecond)
	case 1:
		if err := s.Compact(context.Background(), base); err != nil {
			c.t.Errorf("compact: %v", err)
		}
	}
}

// plan always puts a key, so that it is never without change.
func (c *crashTest) plan(rng *rand.Rand) transaction {
	plan := transaction{}
	for range rng.IntN(6) {
		plan[fmt.Sprintf("key%02d", rng.IntN(30))] = nil
	}
	for range 1 + rng.IntN(5) {
		e := &entry{value: fmt.Sprintf("%x", rng.Uint64())}
		if rng.IntN(4) == 0 {
			e.value += string(make([]byte, rng.IntN(8000)))
		}
		if rng.IntN(3) == 0 {
			e.deadline = c.clock.Now().Add(time.Duration(rng.IntN(5000)) * time.Millisecond).UnixMilli()
		}
		plan[fmt.Sprintf("key%02d", rng.IntN(30))] = e
	}
	return plan
}

func perform(tx kv.Tx, plan transaction) error {
	for key, e := range plan {
		var err error
		switch {
		case e == nil:
			err = tx.Delete([]byte(key))
		case e.deadline != 0:
			err = tx.PutExpiring([]byte(key), []byte(e.value), time.UnixMilli(e.deadline))
		default:
			err = tx.Put([]byte(key), []byte(e.value))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read remembers what readers were shown.
func (c *crashTest) read(ctx context.Context, s *pebblekv.Store) {
	for ctx.Err() == nil {
		var rev kv.Revision
		err := s.View(ctx, func(r kv.Reader) error {
			rev = r.Revision()
			_, err := r.Get([]byte("key00"))
			if errors.Is(err, kv.ErrNotFound) {
				return nil
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			c.t.Errorf("view: %v", err)
		}
		c.mu.Lock()
		c.known.seen = max(c.known.seen, rev, s.Revision())
		c.mu.Unlock()
	}
}

// follow resumes watching where the watcher was, and demands each revision
// once and in order.
func (c *crashTest) follow(ctx context.Context, s *pebblekv.Store) {
	c.mu.Lock()
	last := c.known.delivered
	c.mu.Unlock()
	w, err := s.Watch(ctx, nil, last)
	if err != nil {
		if ctx.Err() == nil && !errors.Is(err, kv.ErrCompacted) {
			c.t.Errorf("watch after %d: %v", last, err)
		}
		return
	}
	defer w.Close()
	for {
		events, err := w.Next(ctx)
		if errors.Is(err, kv.ErrCompacted) || ctx.Err() != nil {
			return
		}
		if err != nil {
			c.t.Errorf("next after %d: %v", last, err)
			return
		}
		for _, e := range events {
			if e.Revision != last && e.Revision != last+1 {
				c.t.Errorf("revision %d delivered after %d", e.Revision, last)
			}
			last = e.Revision
		}
		c.mu.Lock()
		c.known.delivered = max(c.known.delivered, last)
		c.mu.Unlock()
	}
}

// check compares what the crash left with the model, which it moves on.
func (c *crashTest) check() {
	if c.known.acked > 0 {
		if _, err := pebblekv.VerifyFS(c.fs, "/db"); err != nil {
			c.t.Fatalf("verify after the crash: %v", err)
		}
	}
	s, err := pebblekv.Open("/db", c.options(c.fs))
	if err != nil {
		c.t.Fatalf("reopen: %v", err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			c.t.Errorf("close: %v", err)
		}
	}()
	if rev := s.Revision(); rev < max(c.known.acked, c.known.seen, c.known.delivered) {
		c.t.Fatalf("reopened at revision %d, promised were %+v", rev, c.known)
	}
	if err := s.View(context.Background(), func(r kv.Reader) error { return c.compare(s, r) }); err != nil {
		c.t.Fatal(err)
	}
	c.known = promises{acked: c.base, seen: c.base, delivered: min(c.known.delivered, c.base)}
	clear(c.log)
}

// compare replays the history since base, checks it against the log, and the
// state against the replay.
func (c *crashTest) compare(s *pebblekv.Store, r kv.Reader) error {
	changes := make(map[kv.Revision][]kv.Event)
	if r.Revision() > c.base {
		w, err := s.Watch(context.Background(), nil, c.base)
		if err != nil {
			return err
		}
		defer w.Close()
		for last := c.base; last < r.Revision(); {
			events, err := w.Next(context.Background())
			if err != nil {
				return err
			}
			for _, e := range events {
				changes[e.Revision] = append(changes[e.Revision], e)
				last = e.Revision
			}
		}
	}
	for c.base < r.Revision() {
		c.base++
		if err := c.replay(changes[c.base], c.log[c.base]); err != nil {
			return fmt.Errorf("revision %d: %w", c.base, err)
		}
	}
	left := maps.Clone(c.model)
	err := r.Scan(nil, func(k, v []byte) error {
		if e, ok := left[string(k)]; !ok || e.value != string(v) {
			return fmt.Errorf("at revision %d key %s is %.20q, the model has %.20q (%v)", c.base, k, v, e.value, ok)
		}
		delete(left, string(k))
		return nil
	})
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("at revision %d keys are missing: %v", c.base, left)
	}
	return err
}

// replay applies one revision to the model. It must be what plan says, whole,
// or an expiry that was due.
func (c *crashTest) replay(events []kv.Event, plan transaction) error {
	if len(events) == 0 {
		return errors.New("no changes")
	}
	if events[0].Expired {
		return c.replayExpiry(events)
	}
	want := 0
	for key, e := range plan {
		if _, exists := c.model[key]; e != nil || exists {
			want++
		}
	}
	if len(events) != want {
		return fmt.Errorf("%d changes, the transaction made %d", len(events), want)
	}
	for _, ev := range events {
		e, planned := plan[string(ev.Key)]
		switch {
		case !planned || ev.Expired || ev.Deleted != (e == nil):
			return fmt.Errorf("change %+v is not of the transaction", ev)
		case e == nil:
			delete(c.model, string(ev.Key))
		case e.value != string(ev.Value):
			return fmt.Errorf("key %s has another value", ev.Key)
		default:
			c.model[string(ev.Key)] = *e
		}
	}
	return nil
}

func (c *crashTest) replayExpiry(events []kv.Event) error {
	for _, ev := range events {
		e, exists := c.model[string(ev.Key)]
		if !ev.Expired || !exists || e.deadline == 0 || e.deadline > c.clock.Now().UnixMilli() {
			return fmt.Errorf("change %+v of %+v (%v) is no expiry that was due", ev, e, exists)
		}
		delete(c.model, string(ev.Key))
	}
	return nil
}
