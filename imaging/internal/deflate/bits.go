package deflate

import "encoding/binary"

// bitWriter appends bits to bytes, the first one lowest. There is always room
// for eight bytes more than grow asked for.
type bitWriter struct {
	b    []byte
	at   int // bytes written
	hold uint64
	have uint // bits in hold, at most 7 after flush
}

const storedBytesMax = 65535 // of a stored block

func (w *bitWriter) reset(b []byte) { *w = bitWriter{b: b[:cap(b)], at: len(b)} }

func (w *bitWriter) bytes() []byte { return w.b[:w.at] }

// grow makes room for n bytes.
func (w *bitWriter) grow(n int) {
	if need := w.at + n + 8; need > len(w.b) {
		b := make([]byte, max(need, len(w.b)+len(w.b)/2))
		copy(b, w.b[:w.at])
		w.b = b
	}
}

func (w *bitWriter) add(v uint64, n uint) {
	w.hold |= v << w.have
	w.have += n
}

// flush writes all whole bytes.
func (w *bitWriter) flush() {
	binary.LittleEndian.PutUint64(w.b[w.at:], w.hold)
	w.at += int(w.have >> 3)
	w.hold >>= w.have &^ 7
	w.have &= 7
}

// stored writes data in stored blocks. It ends on a byte.
func (w *bitWriter) stored(data []byte) {
	w.grow(storedBytes(len(data)))
	for {
		n := min(len(data), storedBytesMax)
		w.add(0, 3) // not the last block, stored
		w.have = (w.have + 7) &^ 7
		w.flush()
		w.add(uint64(n)|uint64(^uint16(n))<<16, 32)
		w.flush()
		w.at += copy(w.b[w.at:], data[:n])
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}

// storedBytes is the most that stored takes, with what was held before.
func storedBytes(n int) int { return n + 5*(n/storedBytesMax+1) + 1 }

// align ends on a byte, by an empty stored block if need be.
func (w *bitWriter) align() {
	if w.have > 0 {
		w.stored(nil)
	}
}
