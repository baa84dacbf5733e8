package pebblekv

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv/record"
)

// ErrDamaged says that a store can be read but contradicts itself.
var ErrDamaged = errors.New("pebblekv: store is damaged")

// problemsMax is how many problems a Report spells out.
const problemsMax = 100

// Report is what Verify found.
type Report struct {
	FormatVersion uint32
	Revision      kv.Revision // newest
	Floor         kv.Revision // newest without history
	Keys          uint64
	Expiring      uint64 // of Keys
	Changes       uint64 // in the history
	HistoryBytes  uint64
	ProblemCount  uint64
	Problems      []string // the first problemsMax
}

// Verify reads the whole store in dir, which must not be open, and changes
// nothing in it. It checks pebble's levels and checksums, the format, every
// record, and that state, expiry index and history agree. The error wraps
// ErrDamaged if there is a problem, and is another if there is no reading it.
func Verify(dir string) (Report, error) { return VerifyFS(vfs.Default, dir) }

// VerifyFS is Verify on another file system.
func VerifyFS(fs vfs.FS, dir string) (report Report, err error) {
	s := &Store{dir: dir, fail: newFailure()}
	defer s.catchFatal(&err)
	lock, err := lockDir(fs, dir)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := checkPebble(fs, dir); err != nil {
		return report, err
	}
	s.log = slog.New(slog.DiscardHandler)
	o := pebbleOptions(Options{}.withDefaults(), s.eventListener(), logger{log: s.log, fail: s.fail})
	o.FS, o.Lock, o.ReadOnly, o.ErrorIfNotExists = fs, lock, true, true
	db, err := openDB(dir, o)
	if err != nil {
		return report, fmt.Errorf("pebblekv: verify %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	v := verifier{db: db}
	if err := v.run(); err != nil {
		return v.Report, fmt.Errorf("pebblekv: verify %s: %w", dir, err)
	}
	if v.ProblemCount > 0 {
		return v.Report, fmt.Errorf("%w: %s: %d problems, the first: %s: restore a backup", ErrDamaged, dir, v.ProblemCount, v.Problems[0])
	}
	return v.Report, nil
}

type verifier struct {
	Report
	db interface {
		source
		CheckLevels(*pebble.CheckLevelsStats) error
	}
}

func (v *verifier) problem(format string, args ...any) {
	if v.ProblemCount++; v.ProblemCount <= problemsMax {
		v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
	}
}

func (v *verifier) run() error {
	found, err := readFormat(v.db)
	if err == nil && !found {
		err = errors.New("no store here")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	v.FormatVersion = record.FormatVersion
	if err := v.db.CheckLevels(nil); err != nil {
		return err
	}
	for _, check := range []func() error{v.spaces, v.state, v.expiry, v.history, v.historyAgainstState} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// space calls fn for each record of a key space.
func (v *verifier) space(space byte, reverse bool, fn func(k, val []byte) error) error {
	return iterate(v.db, []byte{space}, []byte{space + 1}, reverse, fn)
}

// spaces looks for keys outside of the known spaces.
func (v *verifier) spaces() error {
	gaps := [][2][]byte{
		{nil, {record.SpaceState}},
		{{record.SpaceState + 1}, {record.SpaceHistory}},
		{{record.SpaceHistory + 1}, {record.SpaceMeta}},
		{{record.SpaceMeta + 1}, {record.SpaceExpiry}},
		{{record.SpaceExpiry + 1}, nil},
	}
	for _, gap := range gaps {
		err := iterate(v.db, gap[0], gap[1], false, func(k, _ []byte) error {
			v.problem("unknown key %.80q", k)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return v.space(record.SpaceMeta, false, func(k, _ []byte) error {
		if !bytes.Equal(k, record.FormatKey()) && !bytes.Equal(k, record.FloorKey()) {
			v.problem("unknown key %.80q", k)
		}
		return nil
	})
}

func (v *verifier) state() error {
	return v.space(record.SpaceState, false, func(k, val []byte) error {
		v.Keys++
		st, err := record.DecodeState(val)
		switch {
		case err != nil:
			v.problem("key %q: %v", k[1:], err)
		case st.Expiring:
			v.Expiring++
			ok, err := v.has(record.AppendExpiryKey(nil, st.Deadline, k[1:]))
			if err != nil {
				return err
			}
			if !ok {
				v.problem("key %q expires but is not in the expiry index", k[1:])
			}
		}
		return nil
	})
}

func (v *verifier) has(k []byte) (bool, error) {
	_, closer, err := v.db.Get(k)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, closer.Close()
}

func (v *verifier) expiry() error {
	r := reader{src: v.db}
	return v.space(record.SpaceExpiry, false, func(k, _ []byte) error {
		deadline, key, err := record.DecodeExpiryKey(k)
		if err != nil {
			v.problem("%v", err)
			return nil
		}
		st, found, err := r.state(key)
		switch {
		case errors.Is(err, record.ErrCorrupt):
			return nil // told by state
		case err != nil:
			return err
		case !found || !st.Expiring || st.Deadline != deadline:
			v.problem("expiry index has key %q at %d, which the key does not", key, deadline)
		}
		return nil
	})
}

// history checks that the records follow each other and add up.
func (v *verifier) history() error {
	floor, newest, err := loadMarks(v.db)
	if errors.Is(err, record.ErrCorrupt) {
		v.problem("%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	v.Floor, v.Revision, v.HistoryBytes = floor.rev, newest.rev, newest.total-floor.total
	last := floor
	return v.space(record.SpaceHistory, false, func(k, val []byte) error {
		rev, err := record.DecodeHistoryKey(k)
		if err != nil {
			v.problem("%v", err)
			return nil
		}
		if rev != last.rev+1 {
			v.problem("history goes from revision %d to %d", last.rev, rev)
		}
		total, events, err := record.DecodeHistory(rev, val)
		if err != nil {
			v.problem("%v", err)
		} else if want := last.total + record.HistorySize(events); rev == last.rev+1 && total != want {
			v.problem("history of revision %d has total %d, %d was expected", rev, total, want)
		}
		v.Changes += uint64(len(events))
		last = floorMark{rev: rev, total: total}
		return nil
	})
}

// historyAgainstState checks that the newest change of each key is its state.
// It remembers each key of the history once.
func (v *verifier) historyAgainstState() error {
	seen := make(map[string]struct{})
	r := reader{src: v.db}
	return v.space(record.SpaceHistory, true, func(k, val []byte) error {
		rev, err := record.DecodeHistoryKey(k)
		if err != nil {
			return nil // told by history
		}
		_, events, err := record.DecodeHistory(rev, val)
		if err != nil {
			return nil
		}
		for _, e := range events {
			if _, newer := seen[string(e.Key)]; newer {
				continue
			}
			seen[string(e.Key)] = struct{}{}
			st, found, err := r.state(e.Key)
			if err != nil && !errors.Is(err, record.ErrCorrupt) {
				return err
			}
			if err == nil && (found == e.Deleted || !bytes.Equal(st.Value, e.Value)) {
				v.problem("key %q: its state is not what revision %d, its newest change, says", e.Key, rev)
			}
		}
		return nil
	})
}
