package delta

import (
	"context"
	"errors"
	"fmt"
	"os"

	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// ErrWrongBase is returned for a base that a delta was not made for.
var ErrWrongBase = errors.New("delta was made for another base")

// CheckBase makes sure that the base is the one that a delta of this mark goes
// on top of: by its own mark, or by its signature, which must be of its data.
// base.Sig may be nil. A delta without mark, as the old programs make them,
// tells nothing and passes.
func CheckBase(ctx context.Context, base Image, delta ndz.Mark) error {
	if !delta.Delta || base.Disk.Summary().Mark.State == delta.Base {
		return nil
	}
	if base.Sig == nil || base.Sig.ID() != delta.Base {
		return ErrWrongBase
	}
	bad, err := sig.Check(ctx, base.Disk, base.Sig, 0)
	if err == nil && len(bad) > 0 {
		err = fmt.Errorf("%w: %d of %d blocks differ", ErrWrongBase, len(bad), len(base.Sig.Records))
	}
	return err
}

// checkBase looks for the base's signature beside it, and hashes it if that
// does not help.
func (c *command) checkBase(ctx context.Context, base Image, mark ndz.Mark) (err error) {
	path := c.files[0]
	if base.Sig, err = sig.ReadFile(path + ".sig"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err = CheckBase(ctx, base, mark)
	if errors.Is(err, ErrWrongBase) {
		if base.Sig, err = hash(ctx, path); err == nil {
			err = CheckBase(ctx, base, mark)
		}
	}
	if err != nil {
		return fmt.Errorf("%s on %s: %w", c.files[1], path, err)
	}
	return nil
}

// hash makes the signature of an image as imagehash -X does.
func hash(ctx context.Context, path string) (*sig.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return sig.Image(ctx, f, info.Size(), sig.HashOptions{JoinSpans: true})
}
