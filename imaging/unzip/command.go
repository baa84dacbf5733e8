package unzip

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"time"

	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

const (
	usage = `usage: imageunzip [options] <input filename> [output filename]
 -s slice     output to DOS or GPT partition number "slice" of the disk
 -D type      with -s, set the type of the partition afterwards: the number it
              has in a DOS table, also for a GPT
 -K           keep what is in an output file: for applying a delta
 -z           write zeros to free space
 -p pattern   write this 32-bit number to free space
 -c           verify the checksum of each chunk
 -a file      verify signed checksums with the key in file
 -k file      decrypt with the key in file
 -u uuid      accept only the image with this id
 -o           print a dot per chunk
 -O           print a mark per 10^9 bytes: . data, z zeros, s skipped
 -n           decode on one core
 -C           restore to nowhere, and print a CRC of the whole disk
 -v           print the version
 -M sectors   write no more than this, as into a partition of that size
 -N           copy the chunks as they are
 -I           write the data without what is free, to standard output
 -F, -W, -r, -f, -d are accepted for compatibility, without effect
 --base FILE       the signature of what a delta goes on top of: check the output
                   against it before the first write
 --base-id ID      the state that is known to be on the output, instead
 --any-base        put the delta there whatever there is
 --resume          write only what the output does not have, by the image's
                   signature, <input filename>.sig
 --signature FILE  the same with a signature of another name
 --manifest FILE   refuse chunks that are not as this manifest says
 --manifest-key FILE  the same, if the manifest (<input filename>.manifest, or
                   that of --manifest) is signed with this public key
 An input of "-" is standard input, an output of "-" standard output.
`
	optionLetters = "s:D:CKzp:co0Oa:k:u:nW:r:fdvhM:NIF"
	dotsPerLine   = 67
)

// command is a parsed command line.
type command struct {
	in, out   string
	slice     int
	slicetype int // or -1
	most      int // sectors to write; 0: all
	copies    bool
	keep      bool
	resume    bool
	sigPath   string
	have      *sig.File // with resume

	manifestPath string
	manifestKey  ed25519.PublicKey

	dots     bool
	gigadots bool
	crc      bool
	info     ndz.Summary // of an image that is a file
	opts     Options

	stdin          io.Reader
	stdout, stderr io.Writer
}

// Main is imageunzip, with the old program's options, texts and exit status;
// args are those after the program's name.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &command{slicetype: -1, stdin: stdin, stdout: stdout, stderr: stderr}
	return tool.Main("imageunzip", usage, stderr, func() (bool, error) { return c.parse(args) }, func(ctx context.Context) (int, error) {
		return tool.Status(c.run(ctx))
	})
}

func (c *command) run(ctx context.Context) error {
	start := time.Now()
	dots := c.progress(start)
	stats, err := c.restore(ctx)
	dots.End()
	if err != nil {
		return explain(err)
	}
	c.report(stats, time.Since(start))
	return nil
}

// progress prints what the old program does with -o, and warnings.
func (c *command) progress(start time.Time) *tool.Dots {
	dots := &tool.Dots{W: c.stderr, PerLine: dotsPerLine, Start: start}
	c.opts.Warn = func(text string) {
		dots.End()
		fmt.Fprintf(c.stderr, "imageunzip: warning: %s\n", text)
	}
	if c.dots {
		c.opts.Progress = func(p Progress) {
			dots.Mark('.', func(s int64) string { return fmt.Sprintf("%4d %6d", s, p.Chunks-p.Stats.Chunks) })
		}
	}
	if c.gigadots {
		c.opts.Progress = (&gigadots{dots: dots}).progress
	}
	return dots
}

func (c *command) report(s Stats, took time.Duration) {
	actual := s.WrittenBytes + s.ZeroedBytes
	fmt.Fprintf(c.stderr, "Decompressed %d bytes, wrote %d bytes (%d actual) in %d.%03d seconds\n",
		s.WrittenBytes+s.ClippedBytes, max(s.EndBytes, actual), actual, took.Milliseconds()/1000, took.Milliseconds()%1000)
	ops := func(format string, bytes, n int64) {
		fmt.Fprintf(c.stderr, format+"\n", bytes, n, bytes/max(1, n))
	}
	// All writes are positioned: there are no seeks.
	ops("%d bytes of data in %d ops (%d bytes/op), 0 seeks", actual, s.WriteRequests+s.ZeroRequests)
	if s.ZeroRequests > 0 {
		ops("  %d bytes of disk data in %d ops (%d bytes/op)", s.WrittenBytes, s.WriteRequests)
		ops("  %d bytes of zero data in %d ops (%d bytes/op)", s.ZeroedBytes, s.ZeroRequests)
	}
	bufs := c.opts.workers()
	fmt.Fprintf(c.stderr, "%d max bufs, %d max memory\n", bufs, bufs*(ndz.ChunkBytes+ndz.DataBufferBytesMax))
	if c.resume {
		fmt.Fprintf(c.stderr, "Kept %d bytes in %d chunks that were there already\n", s.KeptBytes, s.KeptChunks)
	}
}

func (c *command) restore(ctx context.Context) (Stats, error) {
	if err := c.readManifest(); err != nil {
		return Stats{}, err
	}
	if c.crc {
		return c.checksum(ctx)
	}
	if c.copies {
		return c.copyChunks(ctx)
	}
	if c.out == "-" {
		return c.toStdout(ctx)
	}
	in, size, err := c.open()
	if err != nil {
		return Stats{}, err
	}
	defer in.Close()
	// Look at the image before the output is touched.
	if size >= 0 {
		if err := c.inspect(in, size); err != nil {
			return Stats{}, fmt.Errorf("%s: %w", c.in, err)
		}
	}
	target, err := OpenTarget(c.out)
	if err != nil {
		return Stats{}, err
	}
	defer target.Close()
	if err := c.apart(in, target); err != nil {
		return Stats{}, fmt.Errorf("%s: %w", c.out, err)
	}
	slice, err := c.place(target)
	if err != nil {
		return Stats{}, fmt.Errorf("%s: %w", c.out, err)
	}
	if err := c.claim(target, slice); err != nil {
		return Stats{}, err
	}
	if err := c.suits(in, size, target); err != nil {
		return Stats{}, fmt.Errorf("%s to %s: %w", c.in, c.out, err)
	}
	if err := c.clear(target); err != nil {
		return Stats{}, err
	}
	if err := c.keepSame(ctx, in, size, target); err != nil {
		return Stats{}, fmt.Errorf("%s: %w", c.out, err)
	}
	var stats Stats
	if size >= 0 {
		stats, err = File(ctx, in, size, target, c.opts)
	} else {
		stats, err = Reader(ctx, c.stdin, target, c.opts)
	}
	if err != nil {
		return stats, fmt.Errorf("%s to %s: %w", c.in, c.out, err)
	}
	return stats, slice.setType(target)
}

// apart fails if the image is what is to be written.
func (c *command) apart(in *os.File, t *FileTarget) error {
	if in == nil {
		in, _ = c.stdin.(*os.File)
	}
	if in == nil {
		return nil
	}
	info, err := in.Stat()
	if err != nil {
		return err
	}
	return t.Apart(info)
}

// open opens the image; a size of -1 is that of a pipe.
func (c *command) open() (*os.File, int64, error) {
	if c.in == "-" {
		return nil, -1, nil
	}
	f, err := os.Open(c.in)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Size(), nil
}

func (c *command) toStdout(ctx context.Context) (Stats, error) {
	if !c.opts.ZeroFill && !c.opts.DataOnly {
		fmt.Fprintln(c.stderr, "WARNING: forcing zero-fill as the output cannot seek")
	}
	return c.stream(ctx, c.stdout)
}

// stream restores to something that cannot seek.
func (c *command) stream(ctx context.Context, dst io.Writer) (Stats, error) {
	src := c.stdin
	if c.in != "-" {
		f, err := os.Open(c.in)
		if err != nil {
			return Stats{}, err
		}
		defer f.Close()
		src = f
	}
	return Stream(ctx, src, dst, c.opts)
}
