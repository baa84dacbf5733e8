package unzip

import (
	"errors"
	"fmt"
	"io"
	"os"

	"hyzer/imaging/manifest"
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
	if c.opts.ZeroFill && mark.IsZero() && c.info.Version > ndz.V1 && c.info.Version < ndz.V5 {
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
	info, err := image.Stat()
	if err != nil {
		return nil, err
	}
	if err := sig.CheckAge(info, sigPath); err != nil {
		return nil, err
	}
	return sig.ReadFile(sigPath)
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
	m, err := ReadManifest(c.manifestPath)
	if err == nil && c.manifestKey != nil {
		err = m.Verify(c.manifestKey)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.manifestPath, err)
	}
	c.opts.Manifest = m
	return nil
}

// ReadManifest reads the manifest of an image from a file.
func ReadManifest(path string) (*manifest.Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, manifest.BytesMax+1))
	if err != nil {
		return nil, err
	}
	return manifest.Decode(text)
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
