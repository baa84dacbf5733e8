package pebblekv_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
)

// TestBubble is what tests of other packages do: a store in memory lives from
// Open to Close in virtual time. The bubble fails the test if a goroutine of
// the store outlives Close, or if time cannot move on while the store idles.
func TestBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		opts := quiet(vfs.NewMem())
		opts.MemTableBytes = 64 << 10
		s := mustOpen(t, opts)
		w, err := s.Watch(ctx, []byte("lease"), 0)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		deadline := start.Add(48 * time.Hour)
		if _, err := s.Update(ctx, func(tx kv.Tx) error { return tx.PutExpiring([]byte("lease"), nil, deadline) }); err != nil {
			t.Fatal(err)
		}
		var writers sync.WaitGroup
		for i := range 8 {
			writers.Go(func() { // flushes and compactions happen
				for n := range 50 {
					if _, err := put(s, fmt.Sprintf("%d/%d", i, n), make([]byte, 2000)); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Second)
				}
			})
		}
		writers.Wait()
		if took := time.Since(start); took != 50*time.Second {
			t.Errorf("the writers took %v of virtual time, want the 50 s they slept", took)
		}
		if err := errors.Join(s.Compact(ctx, s.Revision()-10), s.Backup(ctx, "/backup")); err != nil {
			t.Error(err)
		}
		if w.Close(); s.Revision() != 401 {
			t.Errorf("revision %d", s.Revision())
		}
		if w, err = s.Watch(ctx, []byte("lease"), s.Revision()); err != nil {
			t.Fatal(err)
		}
		events, err := w.Next(ctx)
		if err != nil || len(events) != 1 || !events[0].Expired || time.Since(deadline) > 2*time.Millisecond {
			t.Errorf("at %v: events %v, %v", time.Since(start), events, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := pebblekv.VerifyFS(opts.FS, "/backup"); err != nil {
			t.Error(err)
		}
	})
}
