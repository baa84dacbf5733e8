package pebblekv

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv/record"
)

// Errors of Open.
var (
	// ErrLocked says that the store is open already.
	ErrLocked = errors.New("pebblekv: store is in use")
	// ErrFormat says that the directory is not a store this program reads.
	ErrFormat = errors.New("pebblekv: format not supported")
)

// formatMajorVersion is pebble's own on-disk format. Raising it is one-way:
// older programs then refuse the store.
const formatMajorVersion = pebble.FormatValueSeparation

// diskSlow is how long one file operation may take before it is logged.
const diskSlow = 5 * time.Second

// Open opens the store in dir, and makes one if dir is absent or empty.
func Open(dir string, opts Options) (_ *Store, err error) {
	opts = opts.withDefaults()
	s := &Store{
		dir: dir, fs: opts.FS, log: opts.Logger, clock: opts.Clock,
		fail: newFailure(), gate: newGate(),
		turn: newTurn(), quit: make(chan struct{}),
		space: newSpace(dir, opts), hub: hub{index: newPrefixIndex()},
	}
	defer s.catchFatal(&err)
	if err := makeDir(opts.FS, dir); err != nil {
		return nil, err
	}
	if s.lock, err = lockDir(opts.FS, dir); err != nil {
		return nil, err
	}
	if err := s.openPebble(opts); err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	s.start(opts)
	return s, nil
}

// abandon undoes openPebble after an error that load returned. What pebble has
// to say about a failed store is of its shadow.
func (s *Store) abandon() error {
	if s.fail.stuck.Load() {
		return nil // closing it might not end
	}
	if s.view.Load() != nil {
		s.view.Load().release()
		s.anchor.release()
	}
	err := s.db.Close()
	s.guard.begun.remove(s.fs)
	if s.fail.happened() {
		err = nil
	}
	return errors.Join(err, s.closeHealth(), s.lock.Close())
}

func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pebblekv: create %s: %w", dir, err)
	}
	if err := syncDir(fs, fs.PathDir(dir)); err != nil {
		return fmt.Errorf("pebblekv: create %s: %w", dir, err)
	}
	return nil
}

func syncDir(fs vfs.FS, dir string) error {
	f, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

func lockDir(fs vfs.FS, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, fs)
	switch {
	case err == nil:
		return lock, nil
	case errors.Is(err, iofs.ErrPermission), errors.Is(err, iofs.ErrNotExist):
		return nil, fmt.Errorf("pebblekv: lock %s: %w", dir, err)
	}
	return nil, fmt.Errorf("%w: %s is locked, most likely by a running hyzerd; stop that first: %w", ErrLocked, dir, err)
}

func (s *Store) openPebble(opts Options) (err error) {
	if err := checkPebble(opts.FS, s.dir); err != nil {
		return err
	}
	events := s.eventListener()
	watched, watch := opts.FS, io.Closer(nil)
	if opts.FS == vfs.Default {
		watched, watch = vfs.WithDiskHealthChecks(opts.FS, diskSlow, nil, events.DiskSlow)
	}
	if s.guard, err = newGuardFS(watched, s); err != nil {
		return err
	}
	o := pebbleOptions(opts, events, logger{log: opts.Logger, fail: s.fail})
	o.FS, o.Lock = s.guard, s.lock
	s.health = watch
	if s.db, err = openDB(s.dir, o); err != nil {
		s.guard.begun.remove(s.fs)
		return errors.Join(s.openError(err), s.closeHealth())
	}
	return nil
}

// openError prefers the error that was kept from pebble to what that led to.
func (s *Store) openError(err error) error {
	if cause := s.fail.reason(); cause != nil {
		err = cause
	}
	return fmt.Errorf("pebblekv: open %s: %w", s.dir, err)
}

// openDB is pebble.Open, which panics over some errors of the file system.
func openDB(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = r
		default:
			err = fmt.Errorf("pebble: %v", r)
		}
	}()
	return pebble.Open(dir, o)
}

// closeHealth ends the watch over slow disks.
func (s *Store) closeHealth() error {
	if s.health == nil {
		return nil
	}
	return s.health.Close()
}

// checkPebble refuses what pebble would upgrade or misread.
func checkPebble(fs vfs.FS, dir string) error {
	desc, err := pebble.Peek(dir, fs)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFormat, dir, err)
	}
	if desc.Exists && desc.FormatMajorVersion > formatMajorVersion {
		return fmt.Errorf("%w: %s has pebble format %d, this program knows up to %d: use the program that wrote it", ErrFormat, dir, desc.FormatMajorVersion, formatMajorVersion)
	}
	return nil
}

func pebbleOptions(opts Options, events *pebble.EventListener, log pebble.Logger) *pebble.Options {
	o := &pebble.Options{
		CacheSize:                   opts.CacheBytes,
		EventListener:               events,
		FormatMajorVersion:          formatMajorVersion,
		Logger:                      log,
		MemTableSize:                opts.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		// A writer must not wait for a compaction, which may find no room.
		L0StopWritesThreshold: 1000,
	}
	// The usual scheduler is this one and a goroutine that looks ten times a
	// second whether there is anything to do. An Open that fails leaves it
	// behind, and in virtual time it costs more than the store. With one
	// compaction at a time, flushes and ends of compactions are all it takes.
	o.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// load checks the format and finds the newest revision.
func (s *Store) load() error {
	if err := s.checkFormat(); err != nil {
		return err
	}
	floor, newest, err := loadMarks(s.db)
	if err == nil {
		floor, newest, err = s.beginEpoch(floor, newest)
	}
	if err == nil {
		err = s.expiring.load(s.db)
	}
	if err != nil {
		return fmt.Errorf("pebblekv: open %s: %w", s.dir, err)
	}
	s.history.Store(&floor)
	s.applied = newest
	s.anchor = newView(newest.rev, newest.total, s.db.NewSnapshot(), s.fail)
	s.anchor.acquire()
	s.view.Store(s.anchor)
	if s.fail.happened() {
		return s.openError(nil)
	}
	return nil
}

// checkFormat accepts this format, and makes a store of an empty database.
func (s *Store) checkFormat() error {
	found, err := readFormat(s.db)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrFormat, s.dir, err)
	case !found:
		return s.db.Set(record.FormatKey(), record.Format(record.FormatVersion), pebble.Sync)
	}
	return nil
}

// readFormat reports whether there is a store, and an error if there is
// something else.
func readFormat(src source) (found bool, err error) {
	b, closer, err := src.Get(record.FormatKey())
	if errors.Is(err, pebble.ErrNotFound) {
		return false, iterate(src, nil, []byte{0xff}, false, func(k, _ []byte) error {
			return fmt.Errorf("a pebble database of something else (key %.40q)", k)
		})
	}
	if err != nil {
		return false, err
	}
	defer closer.Close()
	version, err := record.DecodeFormat(b)
	if err == nil && version != record.FormatVersion {
		err = fmt.Errorf("format version %d, this program knows %d: use the program that wrote it", version, record.FormatVersion)
	}
	return true, err
}

// loadMarks reads the floor of the history and its newest revision.
func loadMarks(src source) (floor, newest floorMark, err error) {
	b, closer, err := src.Get(record.FloorKey())
	switch {
	case err == nil:
		floor.rev, floor.total, err = record.DecodeFloor(b)
		closer.Close()
	case errors.Is(err, pebble.ErrNotFound):
		err = nil
	}
	if err != nil {
		return floor, newest, err
	}
	newest = floor
	err = iterate(src, []byte{record.SpaceHistory}, []byte{record.SpaceHistory + 1}, true, func(k, v []byte) error {
		rev, err := record.DecodeHistoryKey(k)
		if err != nil {
			return err
		}
		newest.rev = rev
		if newest.total, _, err = record.DecodeHistory(rev, v); err != nil {
			return err
		}
		return kv.ErrStop
	})
	return floor, newest, err
}

func (s *Store) start(opts Options) {
	s.guard.opened.Store(true)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.upkeep = upkeep{
		s: s, kick: make(chan struct{}, 1),
		limits: retention{revisions: opts.HistoryRevisions, bytes: opts.HistoryBytes},
	}
	s.running.Go(func() { s.upkeep.run(ctx) })
}
