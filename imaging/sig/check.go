package sig

import (
	"context"
	"io"
)

// Mismatch is a record whose sectors hold something else.
type Mismatch struct {
	Record
	Got [HashBytes]byte
}

// Checked is what a disk that was held against a signature is like.
type Checked struct {
	Records, Bad int
	First        Mismatch // of the bad ones
}

// Check reads the sectors of every record from dev, where the image begins at
// byte 0, and holds them against it. each, if not nil, gets every record, in
// order, and whether it is right.
func Check(ctx context.Context, dev io.ReaderAt, f *File, nworkers int, each func(m Mismatch, same bool) error) (Checked, error) {
	var found Checked
	c := f.From(0)
	next := func() (Extent, bool, error) {
		if !c.Next() {
			return Extent{}, false, c.Err()
		}
		return Extent{Record: c.Record()}, true, nil
	}
	err := HashAll(ctx, dev, f.Type, nworkers, next, func(r Record, got [HashBytes]byte) error {
		if found.Count(r, got); each == nil {
			return nil
		}
		return each(Mismatch{r, got}, got == r.Hash)
	})
	return found, err
}

// Count takes a record with the hash of what was found there.
func (c *Checked) Count(r Record, got [HashBytes]byte) {
	c.Records++
	if got == r.Hash {
		return
	}
	if c.Bad == 0 || r.Start < c.First.Start {
		c.First = Mismatch{r, got}
	}
	c.Bad++
}
