package unzip

import (
	"context"
	"errors"
	"fmt"
	"os"

	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/view"
)

// inspect looks at an image that can be seen whole.
func (c *command) inspect(in *os.File, size int64) (err error) {
	if c.info, err = ndz.Info(in, size); err != nil {
		return err
	}
	mark := c.info.Mark
	c.keep = c.keep || mark.Delta
	if c.opts.ZeroFill && mark.IsZero() && c.info.Version > ndz.V1 && c.info.Version < ndz.V5 {
		c.opts.Warn("image has no mark; if it is a delta, -z wipes what it goes on top of")
	}
	if mark.Delta && c.opts.ZeroFill {
		return ErrDeltaZeroFill
	}
	return c.readSignature(in)
}

// readSignature reads the signature that what the output has is told by. It must
// be of the same age as the image, as that of an image that was made anew is not.
func (c *command) readSignature(image *os.File) error {
	if !c.resume {
		return nil
	}
	if c.sigPath == "" {
		c.sigPath = c.in + ".sig"
	}
	info, err := image.Stat()
	if err == nil {
		err = sig.CheckAge(info, c.sigPath)
	}
	if err == nil {
		c.have, err = sig.ReadFile(c.sigPath)
	}
	if state := c.info.Mark.State; err == nil && !state.IsZero() && state != c.have.ID() {
		err = ErrWrongSignature
	}
	return err
}

// keepSame finds what the output has already.
func (c *command) keepSame(ctx context.Context, in *os.File, size int64, t *FileTarget) error {
	if c.have == nil {
		return nil
	}
	want, err := view.Open(in, size, view.Options{Decode: c.opts.Decode})
	if err == nil {
		c.opts.Keep, err = Kept(ctx, t, c.opts.Decode.Placement, c.have, want, c.opts.Workers)
	}
	return err
}

// readManifest reads the manifest that chunks are held against, and verifies its
// signature if a key was given.
func (c *command) readManifest() error {
	if c.manifestPath == "" && c.manifestKey == nil {
		return nil
	}
	if c.manifestPath == "" {
		c.manifestPath = c.in + manifest.Suffix
	}
	m, err := manifest.ReadFile(c.manifestPath)
	if err == nil && c.manifestKey != nil {
		err = m.Verify(c.manifestKey)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.manifestPath, err)
	}
	c.opts.Manifest = m
	return nil
}

// clear makes an output file empty, as the old program does. One that is gone
// on with keeps its data, and its free space becomes what it would have been.
func (c *command) clear(t *FileTarget) error {
	switch {
	case c.keep || c.slice > 0 || t.Device():
		return nil
	case c.resume:
		c.opts.ZeroFill = true
		return t.Shorten(c.info.EndBytes)
	}
	return t.Truncate()
}

// explain adds the options that help against an error.
func explain(err error) error {
	switch {
	case errors.Is(err, ErrBaseUnknown):
		return fmt.Errorf("%w (--base, --base-id or --any-base)", err)
	case errors.Is(err, ErrDeltaZeroFill):
		return fmt.Errorf("%w; leave out -z", err)
	}
	return err
}
