package delta

import (
	"context"
	"errors"
	"fmt"
	"os"

	"hyzer/imaging/sig"
	"hyzer/imaging/view"
)

// Sign makes the signature of all data of a disk, cut as imagezip -U cuts it.
// The records' chunks are not known.
func Sign(ctx context.Context, d *view.Disk, t sig.HashType, blockSectors uint64) (*sig.File, error) {
	f := &sig.File{Type: t, BlockSectors: blockSectors}
	blocks := f.Blocks(d.Data())
	next := func() (sig.Extent, bool, error) {
		r, ok := blocks.Next()
		return sig.Extent{Record: r}, ok, nil
	}
	err := sig.HashAll(ctx, d, t, 0, next, func(r sig.Record, sum [sig.HashBytes]byte) error {
		r.Hash = sum
		return f.Append(r)
	})
	return f, err
}

// Signature is the signature of the disk's state: that beside the image on top,
// if it is of this state, or else one made of the data.
func (c *Chain) Signature(ctx context.Context) (*sig.File, error) {
	s, err := c.Stored()
	if s != nil || err != nil {
		return s, err
	}
	return Sign(ctx, c.Disk, sig.SHA1, sig.BlockSectorsDefault)
}

// Stored reads the signature beside the image on top. It is nil if there is
// none or it is of something else, such as of the delta alone.
func (c *Chain) Stored() (*sig.File, error) {
	top := c.Files[len(c.Files)-1]
	s, err := sig.ReadFile(top.Path + ".sig")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state := top.Mark().State
	if state.IsZero() {
		err := sig.CheckAge(top.Info, top.Path+".sig")
		if len(c.Files) > 1 || errors.Is(err, sig.ErrAge) {
			return nil, nil
		}
		return s, err
	}
	if state != s.ID() {
		return nil, nil
	}
	return s, nil
}

// Freed takes out of the disk what its deltas freed, if the signature of its
// state is beside the image on top. Without that it stays.
func (c *Chain) Freed() error {
	if len(c.Files) == 1 {
		return nil
	}
	s, err := c.Stored()
	if s == nil || err != nil {
		return err
	}
	if err := c.Limit(s); err != nil {
		return fmt.Errorf("%s.sig: %w", c.Files[len(c.Files)-1].Path, err)
	}
	return nil
}
