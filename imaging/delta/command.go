package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"time"

	"hyzer/imaging/cli"
	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/view"
	"hyzer/imaging/zip"
)

const (
	deltaUsage = `usage: imagedelta [options] <from image> <to image> <delta>
 -S           use the signatures <image>.sig; without it images are hashed
 -V           check that the signatures are those of the images
 -F           give the delta the signature of all of the second image
 -f           do not mind if signatures are not as old as their images
 -D hash      without -S, hash with md5 or sha1 (sha1)
 -b bytes     without -S, the size of a hash block (65536)
 -z level     compression level, 0 to 9 (4)
 -d           accepted for compatibility, without effect
`
	undeltaUsage = `usage: imageundelta [options] <base image> <delta>... <new image>
 -S           use <delta>.sig of the last delta, the signature of all of the new
              disk: leave out what it does not name, and sign the new image
 -V, -f, -z, -d as for imagedelta; -D, -b: of the signature of the new image
`
	rezipUsage = `usage: imagerezip [options] <image> <new image>
 -S           use <image>.sig, and sign the new image as that is
 -V, -f, -z, -d, -D, -b as for imageundelta
`
	// optionLetters as getopt has them, those that all three take.
	optionLetters = "SVfdD:b:z:h"
)

// command is a parsed command line of either program.
type command struct {
	name, letters              string
	sigs, verify, force, whole bool
	hash                       sig.HashOptions
	level                      *int
	files                      []string
	stdout, stderr             io.Writer
	closers                    []io.Closer
}

// Main is imagedelta; args are those after the program's name.
func Main(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	c := &command{name: "imagedelta", letters: optionLetters + "F", stdout: stdout, stderr: stderr}
	return c.main(args, deltaUsage, 3, 3, c.delta)
}

// MainUndelta is imageundelta; args are those after the program's name.
func MainUndelta(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	c := &command{name: "imageundelta", letters: optionLetters, stdout: stdout, stderr: stderr}
	return c.main(args, undeltaUsage, 3, 2+chainMax, c.undelta)
}

// MainRezip is imagerezip: it writes an image anew, of version 3 and without
// keys, checksums and ids.
func MainRezip(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	c := &command{name: "imagerezip", letters: optionLetters, stdout: stdout, stderr: stderr}
	return c.main(args, rezipUsage, 2, 2, c.rezip)
}

func (c *command) main(args []string, usage string, filesMin, filesMax int, run func(context.Context) error) int {
	defer func() {
		for _, f := range c.closers {
			f.Close()
		}
	}()
	return tool.Main(c.name, usage, c.stderr, func() (bool, error) { return false, c.parse(args, filesMin, filesMax) }, func(ctx context.Context) (int, error) {
		last := len(c.files) - 1
		if err := tool.Apart(c.files[last], c.files[:last]...); err != nil {
			return 1, err
		}
		return tool.Status(run(ctx))
	})
}

func (c *command) parse(args []string, filesMin, filesMax int) error {
	options, files, err := cli.Parse(args, c.letters)
	if err == nil && (len(files) < filesMin || len(files) > filesMax) {
		err = fmt.Errorf("%d file names, want %s", len(files), counts(filesMin, filesMax))
	}
	for _, o := range options {
		if err == nil {
			err = c.value(o)
		}
		switch o.Letter {
		case 'S':
			c.sigs = true
		case 'V':
			c.verify = true
		case 'F':
			c.whole = true
		case 'f':
			c.force = true
		case 'h':
			err = cli.ErrHelp
		}
	}
	c.files = files
	return err
}

func counts(least, most int) string {
	if least == most {
		return strconv.Itoa(least)
	}
	return fmt.Sprintf("%d to %d", least, most)
}

// value takes an option that has a value.
func (c *command) value(o cli.Option) (err error) {
	n := 0
	switch o.Letter {
	case 'D':
		c.hash.Type, err = sig.ParseHashType(o.Value)
	case 'b':
		c.hash.BlockSectors, err = sig.ParseBlock(o.Value)
	case 'z':
		n, err = cli.Number(o.Value, 0, 9)
		c.level = &n
	}
	if err != nil {
		return fmt.Errorf("option %s: %w", o, err)
	}
	return nil
}

// options are those of the image that is made.
func (c *command) options(s *sig.File) zip.Options { return zip.Options{Level: c.level, Signature: s} }

// open opens the images and has them closed in the end.
func (c *command) open(ctx context.Context, paths ...string) (*Chain, error) {
	chain, err := OpenChain(ctx, paths, ChainOptions{AnyBase: len(paths) == 1})
	if err == nil {
		c.closers = append(c.closers, chain)
	}
	return chain, err
}

// image opens an image with its signature.
func (c *command) image(ctx context.Context, path string) (Image, error) {
	chain, err := c.open(ctx, path)
	if err != nil {
		return Image{}, err
	}
	m := Image{Disk: chain.Disk}
	m.Sig, err = c.signature(ctx, chain.Files[0])
	return m, err
}

// signature reads <path>.sig and checks its age, or hashes the image.
func (c *command) signature(ctx context.Context, f *view.File) (*sig.File, error) {
	if !c.sigs {
		s, err := hash(ctx, f.Path, c.hash)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		return s, nil
	}
	path := f.Path + ".sig"
	if err := sig.CheckAge(f.Info, path); err != nil && !(c.force && errors.Is(err, sig.ErrAge)) {
		return nil, fmt.Errorf("%w, or use -f", err)
	}
	return sig.ReadFile(path)
}

// check makes sure that a signature is of the data of its image.
func (c *command) check(ctx context.Context, path string, m Image) error {
	if !c.verify {
		return nil
	}
	bad, err := sig.Check(ctx, m.Disk, m.Sig, 0, nil)
	if err == nil && bad.Bad > 0 {
		err = fmt.Errorf("%d of %d hashes are not of the image", bad.Bad, bad.Records)
	}
	if err != nil {
		return fmt.Errorf("%s.sig: %w", path, err)
	}
	return nil
}

func (c *command) delta(ctx context.Context) error {
	from, err := c.image(ctx, c.files[0])
	if err != nil {
		return err
	}
	to, err := c.image(ctx, c.files[1])
	if err != nil {
		return err
	}
	if err := errors.Join(c.check(ctx, c.files[0], from), c.check(ctx, c.files[1], to)); err != nil {
		return err
	}
	info, err := os.Stat(c.files[1])
	if err != nil {
		return err
	}
	made := &sig.File{Type: to.Sig.Type, BlockSectors: to.Sig.BlockSectors}
	var stats Made
	err = zip.WriteFile(c.files[2], info.ModTime(), zip.Options{}, func(w io.Writer) (*sig.File, error) {
		stats, err = Make(ctx, from, to, w, c.options(made))
		if c.whole {
			made = to.Sig
		}
		return made, err
	})
	if err != nil {
		return err
	}
	if stats.Same {
		fmt.Fprintf(c.stderr, "%s: images are identical, the delta is empty\n", c.name)
		return nil
	}
	sectors, full := stats.DataBytes/ndz.SectorBytes, to.Disk.Summary().DataBytes/ndz.SectorBytes
	fmt.Fprintf(c.stdout, "%s: %d sectors, %.1f%% of full image (%d sectors)\n",
		c.files[2], sectors, 100*float64(sectors)/math.Max(1, float64(full)), full)
	return nil
}

func (c *command) undelta(ctx context.Context) error {
	last := len(c.files) - 1
	chain, err := c.open(ctx, c.files[:last]...)
	if err != nil {
		return err
	}
	var full *sig.File
	if c.sigs {
		if full, err = c.signature(ctx, chain.Files[last-1]); err != nil {
			return err
		}
		if state := chain.Summary().Mark.State; !state.IsZero() && state != full.ID() {
			return fmt.Errorf("%s.sig is not the signature of all of the new disk: make the delta with imagedelta -F", c.files[last-1])
		}
	}
	return zip.WriteFile(c.files[last], time.Time{}, zip.Options{}, func(w io.Writer) (*sig.File, error) {
		made := c.newSig()
		if full != nil {
			made.Type, made.BlockSectors = full.Type, full.BlockSectors
		}
		_, err := Merge(ctx, chain.Disk, full, w, c.options(made))
		return made, err
	})
}

// rezip writes an image anew. A delta keeps the signature that it has, which is
// of all of the disk.
func (c *command) rezip(ctx context.Context) error {
	chain, err := c.open(ctx, c.files[0])
	if err != nil {
		return err
	}
	var old *sig.File
	if c.sigs {
		if old, err = c.signature(ctx, chain.Files[0]); err != nil {
			return err
		}
		if err := c.check(ctx, c.files[0], Image{chain.Disk, old}); err != nil {
			return err
		}
	}
	return zip.WriteFile(c.files[1], time.Time{}, zip.Options{}, func(w io.Writer) (*sig.File, error) {
		if old == nil || chain.Summary().Mark.Delta {
			_, err := Merge(ctx, chain.Disk, nil, w, c.options(nil))
			return old, err
		}
		made := &sig.File{Type: old.Type, BlockSectors: old.BlockSectors}
		_, err := Merge(ctx, chain.Disk, nil, w, c.options(made))
		return made, err
	})
}

// newSig is a signature to be made as the options say.
func (c *command) newSig() *sig.File {
	s := &sig.File{Type: sig.SHA1, BlockSectors: sig.BlockSectorsDefault}
	if c.hash.Type != 0 {
		s.Type = c.hash.Type
	}
	if c.hash.BlockSectors != 0 {
		s.BlockSectors = c.hash.BlockSectors
	}
	return s
}
