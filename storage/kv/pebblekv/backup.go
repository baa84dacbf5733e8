package pebblekv

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
)

// partialSuffix marks a copy that is not complete. It is renamed when it is,
// and the remains of an interrupted one are removed by the next.
const partialSuffix = ".partial"

// Backup implements kv.Store. On the same file system it costs hard links and
// a copy of the log; elsewhere a copy. The copy holds every Update that
// returned before Backup began, and maybe later ones. ctx is looked at only
// before the copy begins and before it gets its name.
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
		return s.db.Checkpoint(partial)
	})
}

// Restore makes the store dir, which must not exist, from a backup, after
// verifying the backup. The backup stays as it is. fs nil is the operating
// system's file system.
func Restore(ctx context.Context, fs vfs.FS, backup, dir string) error {
	if fs == nil {
		fs = vfs.Default
	}
	if _, err := VerifyFS(fs, backup); err != nil {
		return fmt.Errorf("pebblekv: not restored: %w", err)
	}
	return publishCopy(ctx, fs, dir, func(partial string) error {
		_, err := vfs.Clone(fs, fs, backup, partial, vfs.CloneSync)
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
