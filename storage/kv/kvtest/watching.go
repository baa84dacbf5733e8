package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"hyzer/storage/kv"
)

func testWatchHistory(t *testing.T, e *env) {
	e.put("a", "1")
	e.put("b", "2")
	e.delete("a")
	e.wantEvents(e.collect(e.watch("", 0), 3), "1 a=1", "2 b=2", "3 a deleted")
	e.wantEvents(e.collect(e.watch("", 1), 3), "2 b=2", "3 a deleted")
	w := e.watch("", 3)
	e.put("c", "")
	e.wantEvents(e.collect(w, 4), "4 c=")
	e.wantQuiet(w, "")
}

func testWatchPrefix(t *testing.T, e *env) {
	keys := []string{"n", "n/", "n/1", "n/1/x", "n/2", "n0", "m/1"}
	wants := map[string]string{
		"":     "n n/ n/1 n/1/x n/2 n0 m/1",
		"n":    "n n/ n/1 n/1/x n/2 n0",
		"n/":   "n/ n/1 n/1/x n/2",
		"n/1":  "n/1 n/1/x",
		"none": "",
	}
	live := make(map[string]kv.Watcher)
	for prefix := range wants {
		live[prefix] = e.watch(prefix, 0)
	}
	for _, k := range keys {
		e.put(k, "")
	}
	for prefix, want := range wants {
		end := e.put(prefix+"\xffend", "")
		for name, w := range map[string]kv.Watcher{"live": live[prefix], "late": e.watch(prefix, 0)} {
			var got []string
			for _, ev := range e.collect(w, end) {
				if key := string(ev.Key); !strings.HasSuffix(key, "end") {
					got = append(got, key)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s watcher of %q got %q, want %q", name, prefix, got, want)
			}
		}
	}
}

func testWatchNetChanges(t *testing.T, e *env) {
	e.put("a", "1")
	e.put("b", "1")
	rev := e.update(func(tx kv.Tx) error {
		return errors.Join(
			tx.Put([]byte("z"), []byte("1")), tx.Put([]byte("z"), []byte("2")),
			tx.Put([]byte("new"), nil), tx.Delete([]byte("new")),
			tx.Delete([]byte("b")), tx.Put([]byte("b"), []byte("2")),
			tx.Put([]byte("a"), []byte("2")), tx.Delete([]byte("a")), tx.Delete([]byte("a")))
	})
	e.wantEvents(e.collect(e.watch("", 2), rev), "3 a deleted", "3 b=2", "3 z=2")
}

func testWatchWholeRevisions(t *testing.T, e *env) {
	const keys = 3000
	live := e.watch("k", 0)
	for range 2 {
		e.update(func(tx kv.Tx) error {
			for i := range keys {
				e.ok(tx.Put(fmt.Appendf(nil, "k%05d", i), make([]byte, 700)))
			}
			return nil
		})
	}
	for _, w := range []kv.Watcher{live, e.watch("k", 0)} {
		for rev, n := kv.Revision(0), 0; rev < 2; {
			events, err := w.Next(context.Background())
			e.ok(err)
			for _, ev := range events {
				if ev.Revision != rev {
					rev, n = ev.Revision, 0
				}
				if want := fmt.Sprintf("k%05d", n); string(ev.Key) != want {
					t.Fatalf("event %s in the place of %s", ev.Key, want)
				}
				n++
			}
			if n != keys {
				t.Fatalf("Next ended after %d of %d changes of revision %d", n, keys, rev)
			}
		}
	}
}

func testWatchReopen(t *testing.T, e *env) {
	for i := range 5 {
		e.put(fmt.Sprint("k", i), "")
	}
	w := e.watch("", 0)
	events := e.collect(w, 1)
	last := events[len(events)-1].Revision
	e.reopen()
	_, err := w.Next(context.Background())
	e.is(err, kv.ErrClosed)
	rev := e.put("k5", "")
	if last < rev {
		events = append(events, e.collect(e.watch("", last), rev)...)
	}
	e.wantEvents(events, "1 k0=", "2 k1=", "3 k2=", "4 k3=", "5 k4=", "6 k5=")
}

func testWatchFuture(t *testing.T, e *env) {
	e.put("a", "")
	_, err := e.Watch(context.Background(), nil, 2)
	e.is(err, kv.ErrFutureRevision)
	e.watch("", 1)
	_, err = e.Watch(context.Background(), make([]byte, kv.KeyBytesMax+1), 0)
	e.is(err, kv.ErrTooLarge)
}

func testWatchView(t *testing.T, e *env) {
	w := e.watch("", 0)
	var wg sync.WaitGroup
	const n = 50
	wg.Go(func() {
		for range n {
			if _, err := e.Update(context.Background(), func(tx kv.Tx) error { return tx.Put([]byte("a"), nil) }); err != nil {
				t.Error(err)
			}
		}
	})
	defer wg.Wait()
	for rev := kv.Revision(0); rev < n; {
		events, err := w.Next(context.Background())
		e.ok(err)
		rev = events[len(events)-1].Revision
		e.ok(e.View(context.Background(), func(r kv.Reader) error {
			if r.Revision() < rev {
				t.Errorf("View at %d after the event of %d", r.Revision(), rev)
			}
			return nil
		}))
	}
}

func testWatchClose(t *testing.T, e *env) {
	w := e.watch("", 0)
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan error)
	go func() { _, err := w.Next(ctx); results <- err }()
	cancel()
	e.is(<-results, context.Canceled)
	go func() { _, err := w.Next(context.Background()); results <- err }()
	w.Close()
	w.Close()
	e.is(<-results, kv.ErrClosed)

	w = e.watch("", 0)
	e.put("a", "1")
	_, err := w.Next(ctx)
	e.is(err, context.Canceled)
	e.wantEvents(e.collect(w, 1), "1 a=1")
}

// testSlowWatcher falls behind by more than any reasonable queue.
func testSlowWatcher(t *testing.T, e *env) {
	slow := e.watch("k", 0)
	e.put("k", "first")
	if events := e.collect(slow, 1); len(events) != 1 {
		t.Fatalf("events %v", events)
	}
	const n = 2500
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range n / 50 {
				if _, err := e.Update(context.Background(), func(tx kv.Tx) error { return tx.Put([]byte("k"), make([]byte, 3000)) }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	want := kv.Revision(1)
	for _, ev := range e.collect(slow, n+1) {
		if want++; ev.Revision != want || len(ev.Value) != 3000 {
			t.Fatalf("event of revision %d with %d bytes, want %d", ev.Revision, len(ev.Value), want)
		}
	}
	e.wantQuiet(slow, "k")
}

func testManyWatchers(t *testing.T, e *env) {
	const n = 1000
	watchers := make([]kv.Watcher, n)
	for i := range watchers {
		watchers[i] = e.watch(fmt.Sprintf("node/%04d/", i), 0)
	}
	for i := n - 1; i >= 0; i -= 100 {
		e.put(fmt.Sprintf("node/%04d/state", i), "up")
	}
	for i := n - 1; i >= 0; i -= 100 {
		events, err := watchers[i].Next(context.Background())
		e.ok(err)
		if want := fmt.Sprintf("node/%04d/state", i); len(events) != 1 || string(events[0].Key) != want {
			t.Fatalf("watcher %d got %v", i, events)
		}
		watchers[i].Close()
	}
	e.wantQuiet(watchers[0], "node/0000/")
}

// testWatchersUnderLoad compares what watchers that come and go see with what
// one that was there from the beginning sees.
func testWatchersUnderLoad(t *testing.T, e *env) {
	const writers, each = 8, 40
	all := e.watch("", 0)
	var wg sync.WaitGroup
	got := make([][]kv.Event, 6)
	for i := range got {
		wg.Go(func() {
			last := kv.Revision(0)
			for last < writers*each {
				w, err := e.Watch(context.Background(), nil, last)
				if err != nil {
					t.Error(err)
					return
				}
				for range i + 1 {
					if last == writers*each {
						break
					}
					events, err := w.Next(context.Background())
					if err != nil {
						t.Error(err)
						return
					}
					got[i] = append(got[i], events...)
					last = events[len(events)-1].Revision
				}
				w.Close()
			}
		})
	}
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				if _, err := e.Update(context.Background(), func(tx kv.Tx) error {
					return errors.Join(tx.Put(fmt.Appendf(nil, "%d", i), fmt.Append(nil, n)), tx.Put(fmt.Appendf(nil, "%d+", i), nil))
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	lines := func(events []kv.Event) []string {
		out := make([]string, len(events))
		for i, ev := range events {
			out[i] = format(ev)
		}
		return out
	}
	want := lines(e.collect(all, writers*each))
	if len(want) != 2*writers*each {
		t.Fatalf("%d events, want %d", len(want), 2*writers*each)
	}
	for i := range got {
		if !slices.Equal(lines(got[i]), want) {
			t.Errorf("watcher %d saw another history", i)
		}
	}
}

func testCompact(t *testing.T, e *env) {
	for i := range 5 {
		e.put(fmt.Sprint("k", i), "")
	}
	ctx := context.Background()
	e.is(e.Compact(ctx, 6), kv.ErrFutureRevision)
	e.ok(e.Compact(ctx, 3))
	e.ok(e.Compact(ctx, 2))
	for range 2 {
		for after := range kv.Revision(3) {
			_, err := e.Watch(ctx, nil, after)
			e.is(err, kv.ErrCompacted)
		}
		e.wantEvents(e.collect(e.watch("", 3), 5), "4 k3=", "5 k4=")
		e.wantState("k0= k1= k2= k3= k4=")
		e.reopen()
	}
	e.ok(e.Compact(ctx, 5))
	e.reopen()
	if e.Revision() != 5 {
		t.Fatalf("revision %d after compaction of all, want 5", e.Revision())
	}
	w := e.watch("", 5)
	e.wantEvents(e.collect(w, e.put("k5", "")), "6 k5=")
}

// testCompactUnderWatcher allows a watcher that is behind to deliver or to say
// ErrCompacted, never to skip.
func testCompactUnderWatcher(t *testing.T, e *env) {
	ctx := context.Background()
	idle := e.watch("other", 0)
	behind := e.watch("", 0)
	for range 10 {
		e.put("k", "")
	}
	e.ok(e.Compact(ctx, 9))
	e.wantEvents(e.collect(idle, e.put("other", "")), "11 other=")
	for want := kv.Revision(1); want <= 11; {
		events, err := behind.Next(ctx)
		if errors.Is(err, kv.ErrCompacted) {
			_, err := behind.Next(ctx)
			e.is(err, kv.ErrCompacted)
			return
		}
		e.ok(err)
		for _, ev := range events {
			if ev.Revision != want {
				t.Fatalf("revision %d delivered, want %d", ev.Revision, want)
			}
			want++
		}
	}
}
