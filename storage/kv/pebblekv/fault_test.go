package pebblekv_test

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
)

func put(s kv.Store, key string, value []byte) (kv.Revision, error) {
	return s.Update(context.Background(), func(tx kv.Tx) error { return tx.Put([]byte(key), value) })
}

// fault fails the file operations that match, once it is switched on.
type fault struct {
	on    atomic.Bool
	match func(op errorfs.Op) bool
}

func (f *fault) before(op errorfs.Op) error {
	if f.on.Load() && f.match(op) {
		return errorfs.ErrInjected
	}
	return nil
}

// TestFailedLog fails each kind of operation of the write-ahead log under
// writers. None of them may be told a lie, the process must live, and what the
// store held durably must be there when it is opened again.
func TestFailedLog(t *testing.T) {
	t.Parallel()
	onLog := func(kinds ...errorfs.OpKind) func(op errorfs.Op) bool {
		return func(op errorfs.Op) bool {
			for _, kind := range kinds {
				if op.Kind == kind && strings.HasSuffix(op.Path, ".log") {
					return true
				}
			}
			return false
		}
	}
	for name, match := range map[string]func(op errorfs.Op) bool{
		"sync":   onLog(errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo),
		"write":  onLog(errorfs.OpFileWrite),
		"create": onLog(errorfs.OpCreate, errorfs.OpReuseForWrite),
		"dir":    func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileSync && op.Path == "/db" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testFailedLog(t, &fault{match: match})
		})
	}
}

func testFailedLog(t *testing.T, f *fault) {
	const writers, before, each, valueBytes = 8, 10, 400, 2000
	mem := vfs.NewCrashableMem()
	opts := quiet(withFaults(mem, f.before))
	opts.MemTableBytes = 64 << 10 // the log is rotated again and again
	s, err := pebblekv.Open("/db", opts)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(context.Background(), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var acked [writers]int
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for n := range each {
				f.on.CompareAndSwap(false, n >= before)
				_, err := put(s, fmt.Sprintf("%d/%04d", i, n), make([]byte, valueBytes))
				if err == nil {
					acked[i] = n + 1
					continue
				}
				if !errors.Is(err, kv.ErrFailed) || !errors.Is(err, errorfs.ErrInjected) {
					t.Errorf("update: %v", err)
				}
				return
			}
			t.Errorf("writer %d never saw the failure", i)
		})
	}
	wg.Wait()
	if t.Failed() {
		s.Close()
		return
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	durable := s.Revision()
	checkFailed(t, s, w, durable)
	checkSurvivors(t, left, acked[:], durable)
}

// checkFailed looks at a store in the failed state.
func checkFailed(t *testing.T, s *pebblekv.Store, w kv.Watcher, durable kv.Revision) {
	ctx := context.Background()
	<-s.Failed()
	if err := s.Err(); !errors.Is(err, kv.ErrFailed) || !strings.Contains(err.Error(), "/db") {
		t.Errorf("Err of a failed store: %v", err)
	}
	if _, err := put(s, "more", nil); !errors.Is(err, kv.ErrFailed) {
		t.Errorf("update of a failed store: %v", err)
	}
	if err := s.Backup(ctx, "/backup"); !errors.Is(err, kv.ErrFailed) {
		t.Errorf("backup of a failed store: %v", err)
	}
	if err := s.View(ctx, func(r kv.Reader) error {
		n := kv.Revision(0)
		err := r.Scan(nil, func(k, v []byte) error { n++; return nil })
		if n != r.Revision() || n != durable {
			t.Errorf("%d keys at revision %d, durable is %d", n, r.Revision(), durable)
		}
		return err
	}); err != nil {
		t.Errorf("reads must go on: %v", err)
	}
	last := kv.Revision(0)
	for {
		events, err := w.Next(ctx)
		if errors.Is(err, kv.ErrFailed) {
			break
		}
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
		last = events[len(events)-1].Revision
	}
	if last != durable {
		t.Errorf("the watcher got up to revision %d, durable is %d", last, durable)
	}
	if err := s.Close(); !errors.Is(err, kv.ErrFailed) {
		t.Errorf("close of a failed store: %v", err)
	}
}

// checkSurvivors opens what is on disk for certain.
func checkSurvivors(t *testing.T, left *vfs.MemFS, acked []int, durable kv.Revision) {
	if _, err := pebblekv.VerifyFS(left, "/db"); err != nil {
		t.Fatal(err)
	}
	s, err := pebblekv.Open("/db", quiet(left))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Revision() < durable {
		t.Errorf("reopened at revision %d, %d was shown", s.Revision(), durable)
	}
	if err := s.View(context.Background(), func(r kv.Reader) error {
		for i, n := range acked {
			for n := range n {
				if _, err := r.Get(fmt.Appendf(nil, "%d/%04d", i, n)); err != nil {
					return fmt.Errorf("acknowledged: %w", err)
				}
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// TestFailedManifest fails operations of the manifest while flushes are awaited
// by writers. In a bubble, a writer or Close that stays stuck is a deadlock.
func TestFailedManifest(t *testing.T) {
	t.Parallel()
	on := func(prefix string, kinds ...errorfs.OpKind) func(op errorfs.Op) bool {
		return func(op errorfs.Op) bool {
			return slices.Contains(kinds, op.Kind) && strings.HasPrefix(path.Base(op.Path), prefix)
		}
	}
	for name, match := range map[string]func(op errorfs.Op) bool{
		"write": on("MANIFEST", errorfs.OpFileWrite),
		"sync":  on("MANIFEST", errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testFailedLog(t, &fault{match: match}) })
		})
	}
}

// TestFailedEverything fails all writing at once.
func TestFailedEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		testFailedLog(t, &fault{match: func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }})
	})
}

// TestCloseWhileStalled closes a store whose flushes fail for ever, with a
// writer waiting for one. What was acknowledged is in the log.
func TestCloseWhileStalled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fault{match: func(op errorfs.Op) bool { return op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") }}
		mem := vfs.NewCrashableMem()
		opts := quiet(withFaults(mem, f.before))
		opts.MemTableBytes = 64 << 10
		s := mustOpen(t, opts)
		f.on.Store(true)
		acked, ended := []int{0}, make(chan error)
		go func() {
			for {
				if _, err := put(s, fmt.Sprintf("0/%04d", acked[0]), make([]byte, 2000)); err != nil {
					ended <- err
					return
				}
				acked[0]++
			}
		}()
		time.Sleep(time.Minute) // virtual; until the writer is stalled for good
		select {
		case <-s.Failed():
			t.Errorf("a failed flush is retried, but: %v", s.Err())
		default:
		}
		start := time.Now()
		if err := s.Close(); !errors.Is(err, kv.ErrFailed) || !errors.Is(err, errorfs.ErrInjected) {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("close took %v", took)
		}
		if err := <-ended; !errors.Is(err, kv.ErrFailed) {
			t.Errorf("update: %v", err)
		}
		checkSurvivors(t, mem.CrashClone(vfs.CrashCloneCfg{}), acked, s.Revision())
	})
}

// TestReopenAfterFailure opens the directory again in the same process.
func TestReopenAfterFailure(t *testing.T) {
	t.Parallel()
	f := &fault{match: func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileSyncData && strings.HasSuffix(op.Path, ".log")
	}}
	opts := quiet(withFaults(vfs.NewMem(), f.before))
	s := mustOpen(t, opts)
	if _, err := put(s, "a", nil); err != nil {
		t.Fatal(err)
	}
	f.on.Store(true)
	if _, err := put(s, "b", nil); !errors.Is(err, kv.ErrFailed) {
		t.Fatalf("update: %v", err)
	}
	s.Close()
	f.on.Store(false)
	s = mustOpen(t, opts)
	if rev, err := put(s, "c", nil); err != nil || rev < 2 {
		t.Fatalf("revision %d, %v", rev, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFailedTables fails flushes for a while. Nothing is lost and no writer
// hears of it.
func TestFailedTables(t *testing.T) {
	t.Parallel()
	var failures atomic.Int32
	f := &fault{match: func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") && failures.Add(1) <= 2
	}}
	opts := quiet(withFaults(vfs.NewMem(), f.before))
	opts.MemTableBytes = 64 << 10
	s := mustOpen(t, opts)
	f.on.Store(true)
	for i := range 100 {
		if _, err := put(s, fmt.Sprint(i), make([]byte, 10000)); err != nil {
			t.Fatal(err)
		}
	}
	if failures.Load() < 2 {
		t.Error("no flush failed")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := pebblekv.VerifyFS(opts.FS, "/db"); err != nil || report.Keys != 100 {
		t.Errorf("verify: %+v, %v", report, err)
	}
}

func mustOpen(t *testing.T, opts pebblekv.Options) *pebblekv.Store {
	t.Helper()
	s, err := pebblekv.Open("/db", opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
