package zip

import "hyzer/imaging/sig"

// queue is the records of a signature that have no chunk yet: those that were
// made with the image, or for a delta those of all of the disk, made before.
type queue struct {
	records []sig.Record
	made    *sig.Cursor // at the next record; nil: none
	err     error       // why made ended
}

// read takes the records of a signature that was made before.
func (q *queue) read(f *sig.File) {
	q.made = f.From(0)
	q.advance()
}

func (q *queue) advance() {
	if !q.made.Next() {
		q.made, q.err = nil, q.made.Err()
	}
}

// pop returns the next record if it begins before sector end.
func (q *queue) pop(end uint64) (sig.Record, bool) {
	switch {
	case q.made != nil && q.made.Record().Start < end:
		r := q.made.Record()
		q.advance()
		return r, true
	case len(q.records) > 0 && q.records[0].Start < end:
		r := q.records[0]
		q.records = q.records[1:]
		return r, true
	}
	return sig.Record{}, false
}
