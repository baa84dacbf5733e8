package unzip

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// The reasons not to put a delta on a target. Only marked deltas are known to
// be deltas; those of the old programs pass unseen.
var (
	ErrDeltaZeroFill = errors.New("image is a delta: zeroing free space would wipe its base")
	ErrBaseUnknown   = errors.New("image is a delta: say which base is on the target")
	ErrWrongBase     = errors.New("image is a delta for another base")
)

// checkDelta makes sure, before anything is written, that what a delta goes on
// top of is on the target.
func checkDelta(ctx context.Context, t Target, opts Options, m ndz.Mark) error {
	switch {
	case !m.Delta:
		return nil
	case opts.ZeroFill:
		return ErrDeltaZeroFill
	case opts.AnyBase:
		return nil
	case opts.Base != nil:
		return checkContent(ctx, t, opts, m)
	case opts.BaseID.IsZero():
		return fmt.Errorf("%w; it must be %s", ErrBaseUnknown, m.Base)
	case opts.BaseID != m.Base:
		return fmt.Errorf("%w: %s, not %s", ErrWrongBase, m.Base, opts.BaseID)
	}
	return nil
}

// checkContent holds the target against the signature of the base.
func checkContent(ctx context.Context, t Target, opts Options, m ndz.Mark) error {
	if id := opts.Base.ID(); id != m.Base {
		return fmt.Errorf("%w: %s; the signature is of %s", ErrWrongBase, m.Base, id)
	}
	r, err := content(t, opts.Decode.Placement)
	if err != nil {
		return err
	}
	bad, err := sig.Check(ctx, r, opts.Base, opts.Workers, nil)
	if err != nil {
		return fmt.Errorf("checking the base: %w", err)
	}
	if bad.Bad > 0 {
		return fmt.Errorf("%w: the target differs from it in %d of %d blocks, first at sector %d; restore the base again",
			ErrWrongBase, bad.Bad, bad.Records, bad.First.Start)
	}
	return nil
}

// content reads a target from the image's base on.
func content(t Target, p ndz.Placement) (io.ReaderAt, error) {
	r, ok := t.(io.ReaderAt)
	if !ok {
		return nil, errors.New("target cannot be read, so what is on it cannot be checked")
	}
	size := int64(p.Size) * ndz.SectorBytes
	if !p.InPartition() {
		size = 1<<63 - 1 - int64(p.Start)*ndz.SectorBytes
	}
	return io.NewSectionReader(r, int64(p.Start)*ndz.SectorBytes, size), nil
}

// checkMark does the same once for a Writer, which sees the mark with the
// first chunk.
func (w *Writer) checkMark(ctx context.Context, m ndz.Mark) error {
	w.baseMu.Lock()
	defer w.baseMu.Unlock()
	if m == w.base {
		return nil
	}
	if err := checkDelta(ctx, w.target, w.opts, m); err != nil {
		return err
	}
	w.base = m
	return nil
}
