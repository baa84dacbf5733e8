package unzip

import (
	"errors"
	"fmt"
	"os"
	"time"

	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// inspect looks at an image that can be seen whole.
func (c *command) inspect(in *os.File, size int64) (err error) {
	if c.info, err = ndz.Info(in, size); err != nil {
		return err
	}
	mark := c.info.Mark
	c.keep = c.keep || mark.Delta
	if c.opts.ZeroFill && mark.IsZero() && c.info.Version > ndz.V1 {
		c.opts.Warn("image has no mark; if it is a delta, -z wipes what it goes on top of")
	}
	if mark.Delta && c.opts.ZeroFill {
		return ErrDeltaZeroFill
	}
	if !c.resume {
		return nil
	}
	if c.sigPath == "" {
		c.sigPath = c.in + ".sig"
	}
	c.opts.Have, err = ReadSignature(in, c.sigPath)
	return err
}

// ReadSignature reads the signature of an image, for Options.Have. It fails if
// they are not of the same age, as the signature of an image that was made anew.
func ReadSignature(image *os.File, sigPath string) (*sig.File, error) {
	s, err := sig.ReadFile(sigPath)
	if err == nil {
		err = sameAge(image, sigPath)
	}
	return s, err
}

// sigAgeMax is how far apart the times of an image and its signature may be.
const sigAgeMax = 2 * time.Second

func sameAge(image *os.File, sigPath string) error {
	a, err := image.Stat()
	if err != nil {
		return err
	}
	b, err := os.Stat(sigPath)
	if err != nil {
		return err
	}
	if age := a.ModTime().Sub(b.ModTime()).Abs(); age > sigAgeMax {
		return fmt.Errorf("%s is not as old as its image (%v apart): make it anew with imagehash -c", sigPath, age)
	}
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
