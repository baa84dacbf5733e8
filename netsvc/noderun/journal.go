package noderun

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of one log. The appliance keeps 16 MiB of one.
const (
	journalHeadBytesMax = 256 << 10 // in memory, should the disk fail
	journalTailBytesMax = 1 << 20   // in memory
	journalFileBytesMax = 12 << 20  // on the disk, before the tail
	journalStamp        = "2006-01-02T15:04:05.000Z "
)

// journal keeps the output of a run, each line with the time it began. The disk
// has its first part while the run goes on, and the end when it is sealed. An
// unusable disk costs the middle of a long log and nothing else.
type journal struct {
	path string

	mu         sync.Mutex
	file       *os.File // nil if the disk cannot be used
	filed      int64    // bytes of the log in file
	total      int64
	head, tail []byte
	midLine    bool
	sealed     bool
}

// newJournal begins a log under path; the log that was there becomes path.old.
// On error the journal works without the disk.
func newJournal(path string) (*journal, error) {
	j := &journal{path: path}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return j, err
	}
	if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return j, err
	}
	// What scripts print is nobody else's business.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err == nil {
		j.file = f
	}
	return j, err
}

// Write implements io.Writer; it does not fail.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.sealed {
		j.append(j.stamp(p))
	}
	return len(p), nil
}

// stamp puts the time before each line that begins in p.
func (j *journal) stamp(p []byte) []byte {
	now := time.Now().UTC().Format(journalStamp)
	var out []byte
	for line := range bytes.Lines(p) {
		if !j.midLine {
			out = append(out, now...)
		}
		out = append(out, line...)
		j.midLine = line[len(line)-1] != '\n'
	}
	return out
}

func (j *journal) append(b []byte) {
	n := min(len(b), journalHeadBytesMax-len(j.head))
	j.head = append(j.head, b[:n]...)
	j.tail = append(j.tail, b...)
	if len(j.tail) > 2*journalTailBytesMax { // seldom, so that it costs little
		j.tail = append(j.tail[:0], j.tail[len(j.tail)-journalTailBytesMax:]...)
	}
	j.total += int64(len(b))
	if room := journalFileBytesMax - j.filed; room > 0 {
		j.store(b[:min(int64(len(b)), room)])
	}
}

// store writes to the disk, until it fails once.
func (j *journal) store(b []byte) {
	if j.file == nil {
		return
	}
	if _, err := j.file.Write(b); err != nil {
		j.file.Close()
		j.file = nil
		return
	}
	j.filed += int64(len(b))
}

// seal ends the log and returns a file to read it from, which is valid until
// Close. onDisk says that it is j.path.
func (j *journal) seal() (path string, onDisk bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sealed = true
	if j.file != nil {
		j.store(j.rest(j.filed))
	}
	if j.file != nil && j.file.Sync() == nil {
		return j.path, true, nil
	}
	path, err = j.toMemory()
	return path, false, err
}

// rest is what comes after the first n bytes, as far as it was kept.
func (j *journal) rest(n int64) []byte {
	missing := j.total - n
	tail := j.tail[len(j.tail)-int(min(missing, int64(len(j.tail)), journalTailBytesMax)):]
	if cut := missing - int64(len(tail)); cut > 0 {
		return append(fmt.Appendf(nil, "\n[%d bytes cut]\n", cut), tail...)
	}
	return tail
}

// toMemory makes a file in memory of the log.
func (j *journal) toMemory() (string, error) {
	fd, err := unix.MemfdCreate("log", unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("a file in memory for the log: %w", err)
	}
	j.file = os.NewFile(uintptr(fd), "log")
	_, err = j.file.Write(append(j.head[:len(j.head):len(j.head)], j.rest(int64(len(j.head)))...))
	return fmt.Sprintf("/proc/self/fd/%d", fd), err
}

// Close frees what seal returned.
func (j *journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sealed = true
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}
