package mfs

import "sync"

// Size of what is kept: the start, which says what machine this is, and the
// end, which says what went wrong.
const (
	journalHeadBytes = 8 << 10
	journalTailBytes = 24 << 10
)

// journal keeps what was logged, for the boot log.
type journal struct {
	mu   sync.Mutex
	head []byte
	tail []byte
	cut  bool
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(p), journalHeadBytes-len(j.head))
	j.head = append(j.head, p[:n]...)
	j.tail = append(j.tail, p[n:]...)
	if over := len(j.tail) - journalTailBytes; over > 0 {
		j.tail, j.cut = append(j.tail[:0], j.tail[over:]...), true
	}
	return len(p), nil
}

func (j *journal) bytes() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := append([]byte(nil), j.head...)
	if j.cut {
		text = append(text, "\n[...]\n"...)
	}
	return append(text, j.tail...)
}
