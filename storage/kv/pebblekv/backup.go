package pebblekv

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
)

// partialSuffix marks a copy that is not complete. It is renamed when it is,
// and the remains of an interrupted one are removed by the next.
const partialSuffix = ".partial"

// backupMark is a file in every copy made by Backup. Whatever way the copy
// becomes a store (Restore, cp), the first Open finds it, and begins an epoch.
const backupMark = "BACKUP"

// epochShift makes a revision of a time in milliseconds. A store that makes
// less than 2^10 revisions a millisecond never reaches the revision that its
// present time makes, and the numbers stay exact as JSON numbers, below 2^53,
// for two hundred years.
const epochShift = 10

// Backup implements kv.Store. On the same file system it costs hard links and
// a copy of the log; elsewhere a copy. The copy holds every Update that
// returned before Backup began, and maybe later ones. ctx is looked at only
// before the copy begins and before it gets its name. Updates wait for the copy
// to be made: pebble copies the log last, and a log that is written meanwhile is
// torn in the copy, which then does not open. So put backups on the file system
// of the store, and copy them from there.
func (s *Store) Backup(ctx context.Context, dir string) (err error) {
	if !s.gate.enter() {
		return kv.ErrClosed
	}
	defer s.gate.leave()
	defer s.catchFatal(&err)
	if err := errors.Join(ctx.Err(), s.fail.err()); err != nil {
		return err
	}
	return publishCopy(ctx, s.fs, dir, func(partial string) error {
		if err := s.checkpoint(ctx, partial); err != nil {
			return err
		}
		if err := s.fail.err(); err != nil { // the copy may be of the shadow
			return errors.Join(err, s.fs.RemoveAll(partial))
		}
		return markBackup(s.fs, partial, s.Revision())
	})
}

// checkpoint makes the copy while nothing is written to the log.
func (s *Store) checkpoint(ctx context.Context, dir string) error {
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer s.turn.pass()
	s.forgetting.Lock()
	defer s.forgetting.Unlock()
	return s.db.Checkpoint(dir, pebble.WithFlushedWAL())
}

// markBackup leaves the mark in a copy that holds rev, and maybe later ones.
func markBackup(fs vfs.FS, dir string, rev kv.Revision) error {
	f, err := fs.Create(fs.PathJoin(dir, backupMark), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "copy of revision %d or later\n", rev)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

// beginEpoch is called by Open with the marks of the store. If it was a backup
// until now, other revisions may have followed in the store it was taken from,
// or in another copy, and watchers may hold them. So the history is forgotten,
// and the next revision is one that none of those can have reached: to watch
// after theirs is kv.ErrCompacted, and they read the state afresh.
func (s *Store) beginEpoch(floor, newest floorMark) (floorMark, floorMark, error) {
	mark := s.guard.PathJoin(s.dir, backupMark)
	if _, err := s.guard.Stat(mark); err != nil {
		if errors.Is(err, iofs.ErrNotExist) {
			err = nil
		}
		return floor, newest, err
	}
	first := floorMark{rev: newest.rev + 1, total: newest.total}
	if now := s.clock.Now(); now.UnixMilli() > 0 && kv.Revision(now.UnixMilli())<<epochShift > newest.rev {
		first.rev = kv.Revision(now.UnixMilli()) << epochShift
	} else {
		s.log.Warn("the clock is behind the backup that was opened: watchers from before may miss changes, restart them", "dir", s.dir, "now", now)
	}
	if err := s.setFloor(floor, first); err != nil {
		return floor, newest, err
	}
	s.log.Info("opened a backup as a store", "dir", s.dir, "was", newest.rev, "rev", first.rev)
	return first, first, errors.Join(s.guard.Remove(mark), syncDir(s.guard, s.dir))
}

// setFloor durably forgets all history from old up to floor.
func (s *Store) setFloor(old, floor floorMark) error {
	batch := s.db.NewBatch()
	defer batch.Close()
	if err := forget(batch, old, floor); err != nil {
		return err
	}
	return s.db.Apply(batch, pebble.Sync)
}

// Restore makes the store dir, which must not exist, from a backup, after
// verifying the backup. The backup stays as it is. The first Open begins a new
// epoch of revisions (see kv.Revision). fs nil is the operating
// system's file system.
func Restore(ctx context.Context, fs vfs.FS, backup, dir string) error {
	if fs == nil {
		fs = vfs.Default
	}
	if _, err := VerifyFS(fs, backup); err != nil {
		return fmt.Errorf("pebblekv: not restored: %w", err)
	}
	return publishCopy(ctx, fs, dir, func(partial string) error {
		_, err := vfs.Clone(fs, ownerOnly{fs}, backup, partial, vfs.CloneSync)
		if err != nil {
			return err
		}
		return syncDir(fs, partial)
	})
}

// publishCopy lets make create a directory beside dir, and gives it dir's name
// when it is complete and durable.
func publishCopy(ctx context.Context, fs vfs.FS, dir string, make func(partial string) error) error {
	dir = clean(fs, dir)
	if _, err := fs.Stat(dir); !errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("pebblekv: copy to %s: %w", dir, errors.Join(iofs.ErrExist, err))
	}
	partial := dir + partialSuffix
	if err := fs.RemoveAll(partial); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return fmt.Errorf("pebblekv: remove an interrupted copy: %w", err)
	}
	if err := make(partial); err != nil {
		return fmt.Errorf("pebblekv: copy to %s: %w", dir, err)
	}
	if err := ctx.Err(); err != nil {
		return errors.Join(err, fs.RemoveAll(partial))
	}
	if err := fs.Rename(partial, dir); err != nil {
		return fmt.Errorf("pebblekv: copy to %s: %w", dir, err)
	}
	if err := syncDir(fs, fs.PathDir(dir)); err != nil {
		return fmt.Errorf("pebblekv: copy to %s: %w", dir, err)
	}
	return nil
}
