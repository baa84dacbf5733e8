package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/manifest"
	"hyzer/netsvc/lifecycle/load"
	"hyzer/storage/registry"
)

// syncBytes is how much is written between two requests to start bringing it
// to the disk: the sync at the end must be over before the client asks whether
// its image is there.
const syncBytes = 32 << 20

// ErrOvertaken is wrapped if another version came while this was uploaded.
var ErrOvertaken = errors.New("another version of the image was added meanwhile; upload it again")

// File is a version that is being written.
type File struct {
	store   *Store
	grant   registry.UploadGrant
	version int
	f       *os.File
	check   *checker
	size    int64
	synced  int64
	err     error // of a write
}

// Create begins a version of the granted image. Close it with Commit or Abort.
func (s *Store) Create(grant *registry.UploadGrant) (*File, error) {
	check, err := newChecker()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, grant.Image.Project, grant.Image.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if err != nil {
		return nil, err
	}
	version := nextVersion(s.registry.Snapshot().Image(grant.Image.Key()))
	return &File{store: s, grant: *grant, version: version, f: f, check: check}, nil
}

// Ref is the version that is written.
func (f *File) Ref() registry.Ref {
	ref := f.grant.Image
	ref.Version = f.version
	return ref
}

// Write takes the next bytes of the image. It fails at the first chunk that is
// none, and then on.
func (f *File) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if _, f.err = f.check.Write(p); f.err != nil {
		f.err = fmt.Errorf("image %s: %w", f.Ref(), f.err)
		return 0, f.err
	}
	n, err := f.f.Write(p)
	f.size += int64(n)
	f.err = err
	if f.size-f.synced >= syncBytes {
		// A hint: what is not on its way to the disk yet takes longer at the end.
		_ = unix.SyncFileRange(int(f.f.Fd()), f.synced, f.size-f.synced, unix.SYNC_FILE_RANGE_WRITE)
		f.synced = f.size
	}
	return n, err
}

// Abort forgets it.
func (f *File) Abort() error { return errors.Join(f.f.Close(), os.Remove(f.f.Name())) }

// Commit makes what was written the image's newest version, with mtime as its
// time; zero: now. After an error everything is as it was.
func (f *File) Commit(ctx context.Context, mtime time.Time) error {
	path := filepath.Join(filepath.Dir(f.f.Name()), fmt.Sprintf("%s.%d.ndz", f.grant.Image.Name, f.version))
	err := f.commit(ctx, path, mtime)
	if err == nil || errors.Is(err, errCrash) {
		return err
	}
	// The version was not recorded: none of its files is anybody's.
	for _, left := range []string{f.f.Name(), f.f.Name() + manifest.Suffix} {
		if rm := os.Remove(left); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	return fmt.Errorf("image %s: %w", f.Ref(), err)
}

// errCrash is returned by a test's step.
var errCrash = errors.New("the machine died here")

func (f *File) commit(ctx context.Context, path string, mtime time.Time) error {
	if f.store.uses(path) {
		return errors.Join(fmt.Errorf("%s is in use already; rename it", path), f.f.Close())
	}
	list, err := f.finish(mtime)
	if err != nil {
		return errors.Join(err, f.f.Close())
	}
	if err := errors.Join(f.before("sync"), f.f.Sync(), f.f.Close()); err != nil {
		return err
	}
	temp := f.f.Name()
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"write manifest", func() error { return writeSync(temp+manifest.Suffix, list) }},
		{"rename manifest", func() error { return os.Rename(temp+manifest.Suffix, path+manifest.Suffix) }},
		{"rename", func() error { return os.Rename(temp, path) }},
		{"sync folder", func() error { return syncDirs(f.store.dir, filepath.Dir(path)) }},
		{"record", func() error { return f.record(ctx, path) }},
	} {
		if err := f.before(step.name); err != nil {
			return err
		}
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func (f *File) before(step string) error {
	if f.store.step == nil {
		return nil
	}
	return f.store.step(step)
}

// finish checks the whole, sets the time and returns the manifest.
func (f *File) finish(mtime time.Time) ([]byte, error) {
	if f.err != nil {
		return nil, f.err
	}
	if _, err := f.check.finish(); err != nil {
		return nil, err
	}
	if err := f.f.Chmod(0o644); err != nil {
		return nil, err
	}
	if !mtime.IsZero() {
		if err := os.Chtimes(f.f.Name(), time.Time{}, mtime); err != nil {
			return nil, err
		}
	}
	m, err := f.check.sums.Manifest(manifest.Identity{Version: uint32(f.version)})
	if err != nil {
		return nil, err
	}
	return m.Encode()
}

// record makes the file the next version.
func (f *File) record(ctx context.Context, path string) error {
	version, err := load.Describe(f.store.dir, path)
	if err != nil {
		return err
	}
	version.Version, version.UploadedBy = f.version, f.grant.Node
	_, err = f.store.registry.Update(ctx, func(tx *registry.Tx) error {
		image, err := registry.Lookup[registry.Image](tx, f.grant.Image.Key())
		if err != nil {
			return err
		}
		if nextVersion(image) != f.version {
			return ErrOvertaken
		}
		if image == nil {
			image = &registry.Image{Project: f.grant.Image.Project, Name: f.grant.Image.Name}
		}
		image.Versions = append(image.Versions, described(&f.grant, image, version))
		return registry.Put(tx, image)
	})
	return err
}
