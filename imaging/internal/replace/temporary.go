package replace

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// triesMax bounds the names that are tried for a temporary file.
const triesMax = 100

// temporary makes and locks the file that is to become path, and removes those
// that were to and never will.
func temporary(path string, mode os.FileMode) (*os.File, error) {
	dir, prefix := filepath.Split(path)
	prefix = "." + prefix + ".tmp"
	sweep(dir, prefix)
	for range triesMax {
		f, err := os.OpenFile(dir+prefix+strconv.FormatUint(uint64(rand.Uint32()), 10), os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if held(f) {
			return f, nil
		}
		f.Close()
	}
	return nil, fmt.Errorf("%s: no name is free for a temporary file", path)
}

// held locks a file that was just made. It is false if a sweep was faster, and
// has removed it or is about to.
func held(f *os.File) bool {
	if errors.Is(lock(f), unix.EWOULDBLOCK) {
		return false
	} // else locked, or nothing can be
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink > 0
}

// lock is for as long as the file is open, by whomever.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }

// sweep removes temporary files of a name that nobody writes. Nothing depends on
// it, so errors are not.
func sweep(dir, prefix string) {
	if dir == "" {
		dir = "."
	}
	if !locksSeen(dir) {
		return
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), prefix)
		if _, err := strconv.ParseUint(number, 10, 64); ok && err == nil {
			removeStale(filepath.Join(dir, e.Name()))
		}
	}
}

// locksSeen tells whether locks in a folder are seen by all who can have files
// in it open. Whether those of a network file system are depends on how each
// machine has it mounted.
func locksSeen(dir string) bool {
	var fs unix.Statfs_t
	remote := []int64{unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC}
	return unix.Statfs(dir, &fs) == nil && !slices.Contains(remote, int64(fs.Type))
}

func removeStale(path string) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && lock(f) == nil {
		_ = os.Remove(path)
	}
}

// inherit gives f the owner, as far as that is allowed, and the mode of what it
// replaces, if that is not nil.
func inherit(f *os.File, old os.FileInfo) error {
	if old == nil {
		return nil
	}
	if st, ok := old.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return f.Chmod(old.Mode().Perm())
}
