package pebblekv_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/kv/pebblekv/record"
)

func TestLockNamesTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := pebblekv.Open(dir, quiet(nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"open":   func() error { _, err := pebblekv.Open(dir, quiet(nil)); return err },
		"verify": func() error { _, err := pebblekv.Verify(dir); return err },
	} {
		err := open()
		if !errors.Is(err, pebblekv.ErrLocked) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "hyzerd") {
			t.Errorf("%s of a store in use: %v", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = pebblekv.Open(dir+"/", quiet(nil)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// edit changes a closed store below our feet.
func edit(t *testing.T, fs vfs.FS, dir string, fn func(db *pebble.DB) error) {
	t.Helper()
	db, err := pebble.Open(dir, &pebble.Options{FS: fs, Logger: discard{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(fn(db), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestForeignFormatIsRefused(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"newer":   record.Format(record.FormatVersion + 1),
		"older":   record.Format(0),
		"garbage": []byte("junk"),
	} {
		fs := vfs.NewMem()
		edit(t, fs, "/db", func(db *pebble.DB) error { return db.Set(record.FormatKey(), b, pebble.Sync) })
		if _, err := pebblekv.Open("/db", quiet(fs)); !errors.Is(err, pebblekv.ErrFormat) || !strings.Contains(err.Error(), "/db") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := pebblekv.VerifyFS(fs, "/db"); !errors.Is(err, pebblekv.ErrFormat) {
			t.Errorf("verify %s: %v", name, err)
		}
	}
	fs := vfs.NewMem()
	edit(t, fs, "/db", func(db *pebble.DB) error { return db.Set([]byte("somebody's"), nil, pebble.Sync) })
	if _, err := pebblekv.Open("/db", quiet(fs)); !errors.Is(err, pebblekv.ErrFormat) {
		t.Errorf("another program's database: %v", err)
	}
	edit(t, fs, "/db", func(db *pebble.DB) error { return db.Delete([]byte("somebody's"), pebble.Sync) })
	s := mustOpen(t, quiet(fs)) // an empty database becomes a store
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestRetention checks both limits by what can still be watched.
func TestRetention(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name             string
		revisions, bytes uint64
		value, puts      int
		least, most      uint64 // revisions kept
	}{
		{"revisions", 80, 0, 10, 500, 80, 91},
		{"bytes", 0, 100_000, 976, 500, 99, 114}, // 1000 + 8 + 16 each with the key
		{"neither", 0, 0, 10, 500, 500, 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				opts := quiet(vfs.NewMem())
				opts.HistoryRevisions, opts.HistoryBytes = test.revisions, test.bytes
				s := mustOpen(t, opts)
				defer s.Close()
				for range test.puts {
					if _, err := put(s, "k", make([]byte, test.value)); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait() // for upkeep
				kept := uint64(0)
				for after := s.Revision(); ; after-- {
					w, err := s.Watch(context.Background(), nil, after)
					if errors.Is(err, kv.ErrCompacted) {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					w.Close()
					if kept = uint64(s.Revision() - after); after == 0 {
						break
					}
				}
				if kept < test.least || kept > test.most {
					t.Errorf("%d revisions are kept, want %d to %d", kept, test.least, test.most)
				}
			})
		})
	}
}

// TestClockStep moves an injected wall clock past a deadline while the store
// sleeps, which it must notice within a minute.
func TestClockStep(t *testing.T) {
	t.Parallel()
	clock := newManualClock()
	opts := quiet(vfs.NewMem())
	opts.Clock = clock
	s := mustOpen(t, opts)
	defer s.Close()
	rev, err := s.Update(context.Background(), func(tx kv.Tx) error {
		return tx.PutExpiring([]byte("lease"), nil, clock.Now().Add(time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.Watch(context.Background(), nil, rev)
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(time.Hour)
	events, err := w.Next(context.Background())
	if err != nil || len(events) != 1 || !events[0].Expired {
		t.Errorf("events %v, %v", events, err)
	}
}
