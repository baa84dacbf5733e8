package tftp

import "hyzer/netsvc/bootfiles"

// readAheadBytes is what one transfer reads of its file at a time when its
// windows are small: a system call for ten blocks instead of one for each.
const readAheadBytes = 16 << 10

// aheadFile reads a file in pieces of readAheadBytes. A transfer goes through
// it from front to end; going back a window is rare. One goroutine at a time.
type aheadFile struct {
	bootfiles.File
	buf []byte
	off int64 // of buf[0] in the file
	n   int   // valid bytes of buf
}

// readAhead wraps f for a transfer of burstBytes at a time, if that pays.
func readAhead(f bootfiles.File, burstBytes int) bootfiles.File {
	if burstBytes > readAheadBytes/2 || f.Size() <= int64(burstBytes) {
		return f
	}
	return &aheadFile{File: f, buf: make([]byte, min(readAheadBytes, f.Size()))}
}

// ReadAt implements io.ReaderAt for pieces up to the size of the buffer.
func (a *aheadFile) ReadAt(p []byte, off int64) (int, error) {
	if len(p) > len(a.buf) {
		return a.File.ReadAt(p, off)
	}
	if off < a.off || off+int64(len(p)) > a.off+int64(a.n) {
		n := min(int64(len(a.buf)), max(a.Size()-off, int64(len(p))))
		a.off, a.n = off, 0
		if err := readFull(a.File, a.buf[:n], off); err != nil {
			return 0, err
		}
		a.n = int(n)
	}
	return copy(p, a.buf[off-a.off:]), nil
}
