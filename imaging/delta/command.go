package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"hyzer/imaging/internal/getopt"
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
 -d, -D, -b   accepted for compatibility, without effect
`
	undeltaUsage = `usage: imageundelta [options] <base image> <delta>... <new image>
 -S           use <delta>.sig of the last delta, the signature of all of the new
              disk: leave out what it does not name, and sign the new image
 -V, -f, -d, -D, -b as for imagedelta
`
)

// command is a parsed command line of either program.
type command struct {
	name                       string
	sigs, verify, force, whole bool
	files                      []string
	stdout, stderr             io.Writer
	closers                    []io.Closer
}

// Main is imagedelta; args are those after the program's name.
func Main(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	c := &command{name: "imagedelta", stdout: stdout, stderr: stderr}
	return c.main(args, deltaUsage, 3, c.delta)
}

// MainUndelta is imageundelta; args are those after the program's name.
func MainUndelta(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	c := &command{name: "imageundelta", stdout: stdout, stderr: stderr}
	return c.main(args, undeltaUsage, 2+chainMax, c.undelta)
}

func (c *command) main(args []string, usage string, filesMax int, run func(context.Context) error) int {
	defer func() {
		for _, f := range c.closers {
			f.Close()
		}
	}()
	return tool.Main(c.name, usage, c.stderr, func() (bool, error) { return false, c.parse(args, filesMax) }, func(ctx context.Context) (int, error) {
		return tool.Status(run(ctx))
	})
}

func (c *command) parse(args []string, filesMax int) error {
	options, files, err := getopt.Parse(args, "SVFfdDb:h")
	if err == nil && (len(files) < 3 || len(files) > filesMax) {
		err = fmt.Errorf("%d file names, want 3 or up to %d", len(files), filesMax)
	}
	for _, o := range options {
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
			err = errors.New("help")
		}
	}
	c.files = files
	return err
}

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
		s, err := hash(ctx, f.Path, view.Options{})
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
		stats, err = Make(ctx, from, to, w, zip.Options{Signature: made})
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
		made := &sig.File{}
		if full != nil {
			made.Type, made.BlockSectors = full.Type, full.BlockSectors
		}
		_, err := Merge(ctx, chain.Disk, full, w, zip.Options{Signature: made})
		return made, err
	})
}
