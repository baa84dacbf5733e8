package site

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyFiles copies regular files below from, in the order of their names, to
// the folder to, until about bytes are copied. Files that cannot be read, and
// those too large for what is left, are passed over. It returns how much it
// copied.
func copyFiles(from, to string, bytes int64) (copied int64, err error) {
	err = filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && path == from:
			return err
		case err != nil, !entry.Type().IsRegular():
			return nil
		case copied >= bytes:
			return fs.SkipAll
		}
		info, err := entry.Info()
		if err != nil || info.Size() > bytes-copied || info.Mode().Perm()&0o444 == 0 {
			return nil
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		n, err := copyFile(path, filepath.Join(to, rel), info)
		copied += n
		return err
	})
	if err == nil && copied == 0 {
		err = fmt.Errorf("no file below %s could be copied", from)
	}
	return copied, err
}

// copyFile keeps mode and time, so that the file system is the same each time.
func copyFile(from, to string, info fs.FileInfo) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, nil // not ours to read
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return 0, err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, info.Mode().Perm()|0o200)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	if e := out.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chtimes(to, info.ModTime(), info.ModTime())
	}
	return n, err
}
