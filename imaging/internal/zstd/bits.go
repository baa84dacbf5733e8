package zstd

import "encoding/binary"

// bitWriter writes bits, the first one lowest, to where there is room for them
// and seven bytes more.
type bitWriter struct {
	b    []byte
	at   int // bytes written
	hold uint64
	have uint // bits in hold, at most 7 after flush
}

func (w *bitWriter) add(v uint64, n uint) {
	w.hold |= v << (w.have & 63)
	w.have += n
}

// flush writes all whole bytes.
func (w *bitWriter) flush() {
	binary.LittleEndian.PutUint64(w.b[w.at:], w.hold)
	w.at += int(w.have >> 3)
	w.hold >>= w.have & 56
	w.have &= 7
}

// pad ends on a byte.
func (w *bitWriter) pad() {
	w.have = (w.have + 7) &^ 7
	w.flush()
}

// little writes the lowest n bytes of v.
func (w *bitWriter) little(v uint64, n int) {
	binary.LittleEndian.PutUint64(w.b[w.at:], v)
	w.at += n
}

func (w *bitWriter) bytes(p []byte) { w.at += copy(w.b[w.at:], p) }
