package pebblekv_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"hyzer/storage/kv/pebblekv"
)

// TestFailedOpen fails each operation of Open in turn, for good and once, or
// only those that write, on a new store and on one with a log to replay. Open must return an
// error or a store that works; in a bubble, a hang is a deadlock and fails the
// test. Nothing may be lost.
func TestFailedOpen(t *testing.T) {
	t.Parallel()
	for _, kind := range []faultKind{{}, {lasting: true}, {reads: true}, {lasting: true, reads: true}} {
		for _, puts := range []int{0, 30} {
			t.Run(fmt.Sprintf("%+v,puts=%d", kind, puts), func(t *testing.T) {
				t.Parallel()
				for at, more := int64(1), true; more; at++ {
					synctest.Test(t, func(t *testing.T) { more = testFailedOpen(t, at, kind, puts) })
					if testing.Short() {
						at += 6
					}
				}
			})
		}
	}
}

// faultKind tells which operations fail.
type faultKind struct {
	lasting bool // also all after the first
	reads   bool // not only those that write
}

// testFailedOpen reports whether there was an operation to fail.
func testFailedOpen(t *testing.T, at int64, kind faultKind, puts int) (failed bool) {
	mem := unflushed(t, puts)
	var ops atomic.Int64
	var on, ofTable atomic.Bool
	on.Store(true)
	opts := quiet(withFaults(mem, func(op errorfs.Op) error {
		if !on.Load() || !kind.reads && op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		if n := ops.Add(1); n == at || kind.lasting && n > at {
			ofTable.Store(ofTable.Load() || n == at && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && strings.HasSuffix(op.Path, ".sst"))
			return errorfs.ErrInjected
		}
		return nil
	}))
	s, err := pebblekv.Open("/db", opts)
	failed = ops.Load() >= at
	on.Store(false)
	switch {
	case err == nil:
		if err := s.Close(); err != nil {
			t.Fatalf("operation %d: close: %v", at, err)
		}
	case !failed || !errors.Is(err, errorfs.ErrInjected) || !strings.Contains(err.Error(), "/db"):
		t.Fatalf("operation %d: open: %v", at, err)
	case ofTable.Load() && !kind.lasting && tables(t, mem) > 0: // none was there before
		t.Errorf("operation %d: %d tables are left", at, tables(t, mem))
	}
	s = mustOpen(t, quiet(mem))
	if int(s.Revision()) != puts {
		t.Fatalf("operation %d: reopened at revision %d, want %d", at, s.Revision(), puts)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return failed
}

// tables counts the tables in the store's directory.
func tables(t *testing.T, mem *vfs.MemFS) (n int) {
	t.Helper()
	names, err := mem.List("/db")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			n++
		}
	}
	return n
}

// unflushed is what a store with a full log leaves when the power goes.
func unflushed(t *testing.T, puts int) *vfs.MemFS {
	mem := vfs.NewCrashableMem()
	if puts == 0 {
		return mem
	}
	s := mustOpen(t, quiet(mem))
	for i := range puts {
		if _, err := put(s, fmt.Sprint(i), make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return left
}
