package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/internal/getopt"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
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
	undeltaUsage = `usage: imageundelta [options] <base image> <delta> <new image>
 -S           use <delta>.sig, the signature of all of the new disk: leave out
              what it does not name, and sign the new image
 -V, -f, -d, -D, -b as for imagedelta
`
	// sigAgeMax is how far apart the times of an image and its signature may
	// be.
	sigAgeMax = 2 * time.Second
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
	return c.main(args, deltaUsage, c.delta)
}

// MainUndelta is imageundelta; args are those after the program's name.
func MainUndelta(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	c := &command{name: "imageundelta", stdout: stdout, stderr: stderr}
	return c.main(args, undeltaUsage, c.undelta)
}

func (c *command) main(args []string, usage string, run func(context.Context) error) int {
	options, files, err := getopt.Parse(args, "SVFfdDb:h")
	if err == nil && len(files) != 3 {
		err = errors.New("want three file names")
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
	if err != nil {
		fmt.Fprintf(c.stderr, "%s: %v\n%s", c.name, err, usage)
		return 1
	}
	c.files = files
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	defer func() {
		for _, f := range c.closers {
			f.Close()
		}
	}()
	if err := run(ctx); err != nil {
		fmt.Fprintf(c.stderr, "%s: %v\n", c.name, err)
		return 1
	}
	return 0
}

// open opens an image, and returns its signature too if that is wanted.
func (c *command) open(ctx context.Context, path string, sign bool) (Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return Image{}, err
	}
	c.closers = append(c.closers, f)
	info, err := f.Stat()
	if err != nil {
		return Image{}, err
	}
	disk, err := ndz.OpenImage(f, info.Size(), ndz.DecodeOptions{})
	if err != nil {
		return Image{}, fmt.Errorf("%s: %w", path, err)
	}
	m := Image{Disk: disk}
	if sign {
		m.Sig, err = c.signature(ctx, path, f, info)
	}
	return m, err
}

// signature reads <path>.sig and checks its age, or hashes the image.
func (c *command) signature(ctx context.Context, path string, f *os.File, info os.FileInfo) (*sig.File, error) {
	if !c.sigs {
		s, err := sig.Image(ctx, f, info.Size(), sig.HashOptions{JoinSpans: true})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return s, nil
	}
	s, err := sig.ReadFile(path + ".sig")
	if err != nil {
		return nil, err
	}
	sigInfo, err := os.Stat(path + ".sig")
	if err != nil {
		return nil, err
	}
	if age := info.ModTime().Sub(sigInfo.ModTime()).Abs(); age > sigAgeMax && !c.force {
		return nil, fmt.Errorf("%s.sig is not as old as its image (%v apart): make it anew with imagehash -c, or use -f", path, age)
	}
	return s, nil
}

// check makes sure that a signature is of the data of its image.
func (c *command) check(ctx context.Context, path string, m Image) error {
	if !c.verify {
		return nil
	}
	bad, err := sig.Check(ctx, m.Disk, m.Sig, 0)
	if err == nil && len(bad) > 0 {
		err = fmt.Errorf("%d of %d hashes are not of the image", len(bad), len(m.Sig.Records))
	}
	if err != nil {
		return fmt.Errorf("%s.sig: %w", path, err)
	}
	return nil
}

func (c *command) delta(ctx context.Context) error {
	from, err := c.open(ctx, c.files[0], true)
	if err != nil {
		return err
	}
	to, err := c.open(ctx, c.files[1], true)
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
	var stats zip.Stats
	err = zip.WriteFile(c.files[2], info.ModTime(), func(w io.Writer) (*sig.File, error) {
		stats, err = Make(ctx, from, to, w, zip.Options{Signature: made})
		if c.whole {
			made = to.Sig
		}
		return made, err
	})
	if errors.Is(err, ErrSame) {
		fmt.Fprintf(c.stderr, "%s: images are identical, no delta is made\n", c.name)
		return nil
	}
	if err != nil {
		return err
	}
	sectors, full := stats.DataBytes/ndz.SectorBytes, to.Disk.Summary().DataBytes/ndz.SectorBytes
	fmt.Fprintf(c.stdout, "%s: %d sectors, %.1f%% of full image (%d sectors)\n",
		c.files[2], sectors, 100*float64(sectors)/math.Max(1, float64(full)), full)
	return nil
}

func (c *command) undelta(ctx context.Context) error {
	base, err := c.open(ctx, c.files[0], false)
	if err != nil {
		return err
	}
	over, err := c.open(ctx, c.files[1], c.sigs)
	if err != nil {
		return err
	}
	if err := c.checkBase(ctx, base, over.Disk.Summary().Mark); err != nil {
		return err
	}
	return zip.WriteFile(c.files[2], time.Time{}, func(w io.Writer) (*sig.File, error) {
		made := &sig.File{}
		if over.Sig != nil {
			made.Type, made.BlockSectors = over.Sig.Type, over.Sig.BlockSectors
		}
		_, err := Apply(ctx, base.Disk, over.Disk, over.Sig, w, zip.Options{Signature: made})
		return made, err
	})
}
