package unzip

// runPiecesMax bounds the pieces of a run: the kernel takes no more than 1024 at
// once.
const runPiecesMax = 512

// run is data for one place on the target in pieces of memory, as that of a
// block which is a copy of another. Written at once it can go around the page
// cache, for which the pieces are too small.
type run struct {
	offset, end int64
	pieces      [][]byte
}

// add returns false if the piece does not go on with the run.
func (r *run) add(offset int64, piece []byte) bool {
	switch {
	case len(r.pieces) == 0:
		r.offset, r.end = offset, offset
	case offset != r.end || len(r.pieces) == runPiecesMax:
		return false
	}
	r.pieces = append(r.pieces, piece)
	r.end += int64(len(piece))
	return true
}

// piecesWriter is a target that writes pieces of memory to one place at once.
type piecesWriter interface {
	writePieces(pieces [][]byte, offset int64) (int64, error)
}

func (r *run) writeTo(t Target) (n int64, err error) {
	if w, ok := t.(piecesWriter); ok {
		return w.writePieces(r.pieces, r.offset)
	}
	for _, p := range r.pieces {
		m, err := t.WriteAt(p, r.offset+n)
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// cutPieces parts pieces after n bytes, or where they end. It changes neither
// pieces nor their memory.
func cutPieces(pieces [][]byte, n int64) (before, after [][]byte) {
	for i, p := range pieces {
		if n < int64(len(p)) {
			before, after = append(before, pieces[:i]...), append(after, p[n:])
			if n > 0 {
				before = append(before, p[:n])
			}
			return before, append(after, pieces[i+1:]...)
		}
		n -= int64(len(p))
	}
	return pieces, nil
}
