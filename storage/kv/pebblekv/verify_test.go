package pebblekv_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/kv/pebblekv/record"
)

// sample is a closed store of five revisions, the first of them forgotten.
func sample(t *testing.T) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	opts := quiet(fs)
	opts.Clock = newManualClock()
	s := mustOpen(t, opts)
	_, e1 := put(s, "a", []byte("1"))
	_, e2 := put(s, "a", []byte("2"))
	_, e3 := put(s, "b", []byte("3"))
	_, e4 := s.Update(t.Context(), func(tx kv.Tx) error { return tx.Delete([]byte("b")) })
	_, e5 := s.Update(t.Context(), func(tx kv.Tx) error {
		return tx.PutExpiring([]byte("lease"), []byte("v"), opts.Clock.Now().Add(time.Hour))
	})
	if err := errors.Join(e1, e2, e3, e4, e5, s.Compact(t.Context(), 1), s.Close()); err != nil {
		t.Fatal(err)
	}
	return fs
}

func TestVerifyReport(t *testing.T) {
	t.Parallel()
	report, err := pebblekv.VerifyFS(sample(t), "/db")
	if err != nil {
		t.Fatal(err)
	}
	if report.FormatVersion != 1 || report.Revision != 5 || report.Floor != 1 || report.Keys != 2 ||
		report.Expiring != 1 || report.Changes != 4 || report.HistoryBytes == 0 || report.Problems != nil {
		t.Errorf("report %+v", report)
	}
	if _, err := pebblekv.VerifyFS(vfs.NewMem(), "/nothing"); err == nil {
		t.Error("a store was found where none is")
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	deadline := newManualClock().Now().Add(time.Hour).UnixMilli()
	state := func(key string) []byte { return record.AppendStateKey(nil, []byte(key)) }
	for name, test := range map[string]struct {
		damage func(db *pebble.DB) error
		want   string
	}{
		"state lost":      {func(db *pebble.DB) error { return db.Delete(state("a"), pebble.Sync) }, `key "a": its state is not what revision 2`},
		"state changed":   {func(db *pebble.DB) error { return db.Set(state("a"), []byte("\x00x"), pebble.Sync) }, `key "a": its state is not what revision 2`},
		"state revived":   {func(db *pebble.DB) error { return db.Set(state("b"), []byte("\x00x"), pebble.Sync) }, `key "b": its state is not what revision 4`},
		"state garbled":   {func(db *pebble.DB) error { return db.Set(state("a"), []byte("\x07"), pebble.Sync) }, `key "a": pebblekv: corrupt record`},
		"history gap":     {func(db *pebble.DB) error { return db.Delete(record.AppendHistoryKey(nil, 3), pebble.Sync) }, "history goes from revision 2 to 4"},
		"history garbled": {func(db *pebble.DB) error { return db.Set(record.AppendHistoryKey(nil, 3), []byte{1}, pebble.Sync) }, "history of revision 3"},
		"total wrong": {func(db *pebble.DB) error {
			return db.Set(record.AppendHistoryKey(nil, 6), record.AppendHistory(nil, 1, []kv.Event{{Key: []byte("b"), Deleted: true}}), pebble.Sync)
		}, "history of revision 6 has total 1"},
		"index lost": {func(db *pebble.DB) error {
			return db.Delete(record.AppendExpiryKey(nil, deadline, []byte("lease")), pebble.Sync)
		}, `key "lease" expires but is not in the expiry index`},
		"index too much": {func(db *pebble.DB) error {
			return db.Set(record.AppendExpiryKey(nil, 5, []byte("a")), nil, pebble.Sync)
		}, `expiry index has key "a" at 5`},
		"unknown key":  {func(db *pebble.DB) error { return db.Set([]byte("q"), nil, pebble.Sync) }, `unknown key "q"`},
		"unknown meta": {func(db *pebble.DB) error { return db.Set([]byte("mq"), nil, pebble.Sync) }, `unknown key "mq"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := sample(t)
			edit(t, fs, "/db", test.damage)
			report, err := pebblekv.VerifyFS(fs, "/db")
			if !errors.Is(err, pebblekv.ErrDamaged) || report.ProblemCount == 0 {
				t.Fatalf("verify: %+v, %v", report, err)
			}
			if all := strings.Join(report.Problems, "\n"); !strings.Contains(all, test.want) {
				t.Errorf("problems are\n%s\nwant %s", all, test.want)
			}
		})
	}
}
