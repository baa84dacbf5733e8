package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of one log. The appliance keeps 16 MiB of one.
const (
	headBytesMax = 256 << 10 // in memory, should the disk fail
	tailBytesMax = 1 << 20   // in memory
	fileBytesMax = 12 << 20  // on the disk, before the tail
	stampFormat  = "2006-01-02T15:04:05.000Z "
)

// Journal keeps the output of a run. The disk has its first part while the run
// goes on, and the end when it is sealed. An unusable disk costs the middle of
// a long log and nothing else.
type Journal struct {
	path   string
	stamps bool // each line begins with its time

	mu         sync.Mutex
	file       *os.File // nil if the disk cannot be used
	filed      int64    // bytes of the log in file
	total      int64
	head, tail []byte
	midLine    bool
	sealed     bool
	also       io.Writer // gets what is kept; nil for nobody
}

// InMemory begins a log without the disk and without times: for programs whose
// lines have them.
func InMemory() *Journal { return &Journal{} }

// New begins a log under path, with the time before each line; the log that was
// there becomes path.old. On error the journal works without the disk.
func New(path string) (*Journal, error) {
	j := &Journal{path: path, stamps: true}
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
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.sealed {
		return len(p), nil
	}
	text := p
	if j.stamps {
		text = j.stamp(p)
	}
	j.append(text)
	if j.also != nil {
		_, _ = j.also.Write(text) // which has its own ways to fail
	}
	return len(p), nil
}

// Also gives w the log as it is, and what comes, until the journal is sealed.
// w must not wait long: it is written to by whoever writes to the journal.
func (j *Journal) Also(w io.Writer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := w.Write(j.text()); err == nil {
		j.also = w
	}
}

// Path is where the log is on the disk.
func (j *Journal) Path() string { return j.path }

// Bytes is the log as far as memory has it: the first and the last of it.
func (j *Journal) Bytes() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text()
}

func (j *Journal) text() []byte {
	return append(j.head[:len(j.head):len(j.head)], j.rest(int64(len(j.head)))...)
}

// stamp puts the time before each line that begins in p.
func (j *Journal) stamp(p []byte) []byte {
	now := time.Now().UTC().Format(stampFormat)
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

func (j *Journal) append(b []byte) {
	n := min(len(b), headBytesMax-len(j.head))
	j.head = append(j.head, b[:n]...)
	j.tail = append(j.tail, b...)
	if len(j.tail) > 2*tailBytesMax { // seldom, so that it costs little
		j.tail = append(j.tail[:0], j.tail[len(j.tail)-tailBytesMax:]...)
	}
	j.total += int64(len(b))
	if room := fileBytesMax - j.filed; room > 0 {
		j.store(b[:min(int64(len(b)), room)])
	}
}

// store writes to the disk, until it fails once.
func (j *Journal) store(b []byte) {
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

// Seal ends the log and returns a file to read it from, which is valid until
// Close. onDisk says that it is the journal's path.
func (j *Journal) Seal() (path string, onDisk bool, err error) {
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
func (j *Journal) rest(n int64) []byte {
	missing := j.total - n
	tail := j.tail[len(j.tail)-int(min(missing, int64(len(j.tail)), tailBytesMax)):]
	if cut := missing - int64(len(tail)); cut > 0 {
		return append(fmt.Appendf(nil, "\n[%d bytes cut]\n", cut), tail...)
	}
	return tail
}

// toMemory makes a file in memory of the log.
func (j *Journal) toMemory() (string, error) {
	fd, err := unix.MemfdCreate("log", unix.MFD_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("a file in memory for the log: %w", err)
	}
	j.file = os.NewFile(uintptr(fd), "log")
	_, err = j.file.Write(j.text())
	return fmt.Sprintf("/proc/self/fd/%d", fd), err
}

// Close frees what Seal returned.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sealed = true
	if j.file == nil {
		return nil
	}
	return j.file.Close()
}
