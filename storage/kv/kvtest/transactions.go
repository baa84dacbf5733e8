package kvtest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"hyzer/storage/kv"
)

var errRefused = errors.New("refused by the test")

func testEmpty(t *testing.T, e *env) {
	if rev := e.Revision(); rev != 0 {
		t.Fatalf("an empty store is at revision %d", rev)
	}
	e.wantState("")
	e.ok(e.View(context.Background(), func(r kv.Reader) error {
		_, err := r.Get([]byte("absent"))
		e.is(err, kv.ErrNotFound)
		return nil
	}))
}

func testPutGetDelete(t *testing.T, e *env) {
	for i, step := range []struct {
		do   func() kv.Revision
		want string
	}{
		{func() kv.Revision { return e.put("a", "1") }, "a=1"},
		{func() kv.Revision { return e.put("b", "") }, "a=1 b="},
		{func() kv.Revision { return e.put("a", "2") }, "a=2 b="},
		{func() kv.Revision { return e.delete("b") }, "a=2"},
		{func() kv.Revision { return e.put("", "empty key") }, "=empty key a=2"},
		{func() kv.Revision { return e.put("\xff\xff", "last") }, "=empty key a=2 \xff\xff=last"},
	} {
		if rev := step.do(); rev != kv.Revision(i+1) || e.Revision() != rev {
			t.Fatalf("step %d: revision %d, store at %d", i, rev, e.Revision())
		}
		e.wantState(step.want)
	}
}

func testOwnWrites(t *testing.T, e *env) {
	e.put("a", "old")
	e.put("gone", "x")
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Put([]byte("a"), []byte("new")))
		e.ok(tx.Put([]byte("b"), []byte("1")))
		e.ok(tx.Delete([]byte("gone")))
		got, err := tx.Get([]byte("a"))
		e.ok(err)
		if string(got) != "new" {
			t.Errorf("Get in the transaction is %q", got)
		}
		_, err = tx.Get([]byte("gone"))
		e.is(err, kv.ErrNotFound)
		all, err := dump(tx)
		e.ok(err)
		if all != "a=new b=1" {
			t.Errorf("Scan in the transaction is %q", all)
		}
		if tx.Revision() != 2 {
			t.Errorf("the transaction is on revision %d, want 2", tx.Revision())
		}
		return nil
	})
	e.wantState("a=new b=1")
}

func testScanOrder(t *testing.T, e *env) {
	e.update(func(tx kv.Tx) error {
		for _, k := range []string{"n/10", "n/2", "m", "n/", "n/1", "n\xff", "n0", "n/\xff\xff"} {
			e.ok(tx.Put([]byte(k), nil))
		}
		return nil
	})
	for _, test := range []struct {
		name string
		scan func(r kv.Reader, fn func(k, v []byte) error) error
		want string
	}{
		{"prefix", func(r kv.Reader, fn func(k, v []byte) error) error { return r.Scan([]byte("n/"), fn) }, "n/ n/1 n/10 n/2 n/\xff\xff"},
		{"prefix of 0xff", func(r kv.Reader, fn func(k, v []byte) error) error { return r.Scan([]byte("n\xff"), fn) }, "n\xff"},
		{"range", func(r kv.Reader, fn func(k, v []byte) error) error {
			return r.ScanRange([]byte("n/1"), []byte("n/2"), false, fn)
		}, "n/1 n/10"},
		{"reverse", func(r kv.Reader, fn func(k, v []byte) error) error {
			return r.ScanRange([]byte("n/1"), []byte("n0"), true, fn)
		}, "n/\xff\xff n/2 n/10 n/1"},
		{"open end", func(r kv.Reader, fn func(k, v []byte) error) error {
			return r.ScanRange([]byte("n0"), nil, false, fn)
		}, "n0 n\xff"},
		{"all, reverse", func(r kv.Reader, fn func(k, v []byte) error) error { return r.ScanRange(nil, nil, true, fn) }, "n\xff n0 n/\xff\xff n/2 n/10 n/1 n/ m"},
		{"empty range", func(r kv.Reader, fn func(k, v []byte) error) error {
			return r.ScanRange([]byte("z"), []byte("a"), false, fn)
		}, ""},
		{"range to the empty key", func(r kv.Reader, fn func(k, v []byte) error) error {
			return r.ScanRange(nil, []byte{}, false, fn)
		}, ""},
	} {
		var keys []string
		e.ok(e.View(context.Background(), func(r kv.Reader) error {
			return test.scan(r, func(k, _ []byte) error { keys = append(keys, string(k)); return nil })
		}))
		if got := strings.Join(keys, " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	e.ok(e.View(context.Background(), func(r kv.Reader) error {
		n := 0
		e.ok(r.Scan(nil, func(k, v []byte) error { n++; return kv.ErrStop }))
		if n != 1 {
			t.Errorf("ErrStop after one key: %d were visited", n)
		}
		e.is(r.Scan(nil, func(k, v []byte) error { return errRefused }), errRefused)
		return nil
	}))
}

func testScanSeesItsBeginning(t *testing.T, e *env) {
	e.put("a", "1")
	e.put("b", "2")
	e.update(func(tx kv.Tx) error {
		return tx.Scan(nil, func(k, v []byte) error {
			e.ok(tx.Delete([]byte("b")))
			return tx.Put(append(k, "+"...), v)
		})
	})
	e.wantState("a=1 a+=1 b+=2")
}

func testSlicesAreTheCallers(t *testing.T, e *env) {
	key, value := []byte("key"), []byte("value")
	e.update(func(tx kv.Tx) error {
		e.ok(tx.Put(key, value))
		copy(key, "XXX")
		copy(value, "XXXXX")
		return nil
	})
	w := e.watch("", 0)
	e.ok(e.View(context.Background(), func(r kv.Reader) error {
		for range 2 {
			v, err := r.Get([]byte("key"))
			e.ok(err)
			if string(v) != "value" {
				t.Errorf("Get is %q", v)
			}
			copy(v, "YYYYY")
			e.ok(r.Scan(nil, func(k, v []byte) error {
				if string(k) != "key" || string(v) != "value" {
					t.Errorf("Scan gives %q=%q", k, v)
				}
				copy(k, "ZZZ")
				copy(v, "ZZZZZ")
				return nil
			}))
		}
		return nil
	}))
	for range 2 {
		events := e.collect(w, 1)
		e.wantEvents(events, "1 key=value")
		copy(events[0].Key, "???")
		copy(events[0].Value, "?????")
		w = e.watch("", 0)
	}
}

func testLimits(t *testing.T, e *env) {
	ctx := context.Background()
	longKey, longValue := make([]byte, kv.KeyBytesMax), make([]byte, kv.ValueBytesMax)
	e.update(func(tx kv.Tx) error { return tx.Put(longKey, longValue) })
	for name, fn := range map[string]func(tx kv.Tx) error{
		"key":     func(tx kv.Tx) error { return tx.Put(append(longKey, 0), nil) },
		"value":   func(tx kv.Tx) error { return tx.Put([]byte("k"), append(longValue, 0)) },
		"deleted": func(tx kv.Tx) error { return tx.Delete(append(longKey, 0)) },
		"transaction": func(tx kv.Tx) error {
			for i := range kv.TxBytesMax/kv.ValueBytesMax + 1 {
				if err := tx.Put(fmt.Appendf(nil, "k%d", i), longValue); err != nil {
					return err
				}
			}
			return nil
		},
		"ignored by fn": func(tx kv.Tx) error {
			e.ok(tx.Put([]byte("half"), nil))
			_ = tx.Put(append(longKey, 0), nil)
			return nil
		},
	} {
		if _, err := e.Update(ctx, fn); !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("%s over its limit: %v", name, err)
		}
	}
	if rev := e.Revision(); rev != 1 {
		t.Errorf("refused transactions moved the store to revision %d", rev)
	}
	e.update(func(tx kv.Tx) error {
		for i := range kv.TxBytesMax/kv.ValueBytesMax - 1 {
			e.ok(tx.Put(fmt.Appendf(nil, "k%02d", i), longValue))
		}
		return nil
	})
	if got := len(e.collect(e.watch("k", 0), 2)); got != kv.TxBytesMax/kv.ValueBytesMax-1 {
		t.Errorf("the largest transaction has %d events", got)
	}
}

func testFailedUpdate(t *testing.T, e *env) {
	e.put("a", "1")
	_, err := e.Update(context.Background(), func(tx kv.Tx) error {
		e.ok(tx.Put([]byte("a"), []byte("2")))
		e.ok(tx.Delete([]byte("a")))
		e.ok(tx.Put([]byte("b"), []byte("2")))
		return fmt.Errorf("wrapped: %w", errRefused)
	})
	e.is(err, errRefused)
	e.wantState("a=1")
	e.wantEvents(e.collect(e.watch("", 0), e.put("c", "3")), "1 a=1", "2 c=3")
}

func testPanic(t *testing.T, e *env) {
	for _, do := range []func(){
		func() {
			_, _ = e.Update(context.Background(), func(tx kv.Tx) error {
				e.ok(tx.Put([]byte("a"), nil))
				panic("of the test")
			})
		},
		func() {
			_ = e.View(context.Background(), func(r kv.Reader) error {
				return r.Scan(nil, func(k, v []byte) error { panic("of the test") })
			})
		},
	} {
		e.put("z", "")
		func() {
			defer func() {
				if r := recover(); r != "of the test" {
					t.Errorf("recovered %v", r)
				}
			}()
			do()
		}()
	}
	e.put("b", "1")
	e.wantState("b=1 z=")
}

func testGoexit(t *testing.T, e *env) {
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = e.Update(context.Background(), func(tx kv.Tx) error {
			e.ok(tx.Put([]byte("a"), nil))
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
	e.put("b", "1")
	e.wantState("b=1")
}

func testNoChange(t *testing.T, e *env) {
	e.put("a", "1")
	for name, fn := range map[string]func(tx kv.Tx) error{
		"nothing":         func(tx kv.Tx) error { return nil },
		"delete absent":   func(tx kv.Tx) error { return tx.Delete([]byte("b")) },
		"put and deleted": func(tx kv.Tx) error { return errors.Join(tx.Put([]byte("b"), nil), tx.Delete([]byte("b"))) },
	} {
		if rev := e.update(fn); rev != 1 {
			t.Errorf("%s: revision %d, want 1", name, rev)
		}
	}
	if rev := e.put("a", "1"); rev != 2 {
		t.Errorf("putting the same value is revision %d, want 2", rev)
	}
	e.wantState("a=1")
}

func testCancelled(t *testing.T, e *env) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := e.Update(ctx, func(tx kv.Tx) error { t.Error("fn ran"); return nil })
	e.is(err, context.Canceled)
	e.is(e.View(ctx, func(r kv.Reader) error { t.Error("fn ran"); return nil }), context.Canceled)

	ctx, cancel = context.WithCancel(context.Background())
	e.update(func(kv.Tx) error { // holds off the other Update
		done := make(chan error)
		go func() {
			_, err := e.Update(ctx, func(tx kv.Tx) error { return nil })
			done <- err
		}()
		cancel()
		e.is(<-done, context.Canceled)
		return nil
	})
}

// testViewConsistent moves an amount between two keys under readers.
func testViewConsistent(t *testing.T, e *env) {
	const writers, moves = 4, 50
	e.update(func(tx kv.Tx) error {
		return errors.Join(tx.Put([]byte("a"), []byte("1000")), tx.Put([]byte("b"), []byte("0")))
	})
	done := make(chan struct{})
	var readers, wg sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			last := kv.Revision(0)
			for {
				select {
				case <-done:
					return
				default:
				}
				before := e.Revision()
				if err := e.View(context.Background(), func(r kv.Reader) error {
					if r.Revision() < last || r.Revision() < before {
						t.Errorf("View at %d after %d", r.Revision(), max(last, before))
					}
					last = r.Revision()
					if sum := number(r, "a") + number(r, "b"); sum != 1000 {
						t.Errorf("at %d the sum is %d", last, sum)
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range writers {
		wg.Go(func() {
			for range moves {
				rev, err := e.Update(context.Background(), func(tx kv.Tx) error {
					return errors.Join(
						tx.Put([]byte("a"), strconv.AppendInt(nil, int64(number(tx, "a")-1), 10)),
						tx.Put([]byte("b"), strconv.AppendInt(nil, int64(number(tx, "b")+1), 10)))
				})
				if err != nil {
					t.Error(err)
				}
				if err := e.View(context.Background(), func(r kv.Reader) error {
					if r.Revision() < rev {
						t.Errorf("View at %d does not see Update %d that returned", r.Revision(), rev)
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(done)
	readers.Wait()
	e.wantState(fmt.Sprintf("a=%d b=%d", 1000-writers*moves, writers*moves))
}

func number(r kv.Reader, key string) int {
	v, err := r.Get([]byte(key))
	if err != nil {
		return -1 << 20
	}
	n, err := strconv.Atoi(string(v))
	if err != nil {
		return -1 << 20
	}
	return n
}

func testViewSnapshot(t *testing.T, e *env) {
	e.put("a", "1")
	e.ok(e.View(context.Background(), func(r kv.Reader) error {
		e.put("a", "2")
		e.put("b", "2")
		all, err := dump(r)
		e.ok(err)
		if all != "a=1" || r.Revision() != 1 {
			t.Errorf("the view moved to %q, revision %d", all, r.Revision())
		}
		e.wantState("a=2 b=2")
		return nil
	}))
}

func testSerial(t *testing.T, e *env) {
	const writers, each = 16, 20
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[kv.Revision]bool)
	for range writers {
		wg.Go(func() {
			last := kv.Revision(0)
			for range each {
				rev, err := e.Update(context.Background(), func(tx kv.Tx) error {
					n := 0
					if tx.Revision() > 0 {
						n = number(tx, "n")
					}
					if n != int(tx.Revision()) {
						t.Errorf("on revision %d the counter is %d", tx.Revision(), n)
					}
					return tx.Put([]byte("n"), strconv.AppendInt(nil, int64(n+1), 10))
				})
				mu.Lock()
				if err != nil || rev <= last || seen[rev] {
					t.Errorf("revision %d after %d, seen %v: %v", rev, last, seen[rev], err)
				}
				seen[rev], last = true, rev
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	e.wantState(fmt.Sprintf("n=%d", writers*each))
}

func testFailingNeighbours(t *testing.T, e *env) {
	const each = 20
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			for n := range each {
				key := fmt.Appendf(nil, "%02d/%02d", i, n)
				func() {
					defer func() { _ = recover() }()
					_, err := e.Update(context.Background(), func(tx kv.Tx) error {
						err := tx.Put(key, nil)
						switch i % 3 {
						case 1:
							return errRefused
						case 2:
							panic("of the test")
						}
						return err
					})
					if want := i%3 == 1; errors.Is(err, errRefused) != want {
						t.Errorf("writer %d: %v", i, err)
					}
				}()
			}
		})
	}
	wg.Wait()
	if want := kv.Revision(4 * each); e.Revision() != want {
		t.Errorf("revision %d, want %d", e.Revision(), want)
	}
	for _, k := range strings.Fields(e.state()) {
		if i, _ := strconv.Atoi(k[:2]); i%3 != 0 {
			t.Errorf("key %s of a failed transaction is there", k)
		}
	}
}

func testReopen(t *testing.T, e *env) {
	e.reopen()
	e.wantState("")
	e.put("a", "1")
	e.put("b", "2")
	e.delete("a")
	e.reopen()
	if e.Revision() != 3 {
		t.Fatalf("reopened at revision %d, want 3", e.Revision())
	}
	e.wantState("b=2")
	if rev := e.put("c", "3"); rev != 4 {
		t.Fatalf("the next revision is %d, want 4", rev)
	}
}
