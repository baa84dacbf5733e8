package zip

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/internal/getopt"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

const (
	usage = `usage: imagezip [options] <device or file> [image]
 -s slice     image only this DOS or GPT partition
 -S type      the input is a bare file system of this DOS type
 -l, -b, -n   the input is a bare Linux, BSD or NTFS file system
 -r           keep all bytes of the input
 -f           the input is a regular file; keep all bytes
 -z level     compression level, 0 to 9 (4)
 -I slice     keep nothing of this partition; can be repeated
 -R slice     keep all bytes of this partition; can be repeated
 -c count     image only the first count sectors
 -F count     free ranges shorter than count sectors are kept (64)
 -Z           zero free ranges that are kept (the default)
 -Y           keep their content
 -x           leave out what is after a file system in its partition
 -H file      make a delta against this signature
 -P percent   with -H, make a full image if the delta were more than this
 -U file      write a signature of the image ("": the image's name with .sig)
 -a SHA1      store a signed checksum in each chunk (V4); the key to verify
              with goes to <image>.skey
 -e bf_cbc    encrypt (V4); -k names the file of the key, new if it is absent
 -u uuid      store this image id (V4)
 -1, -3       write version 1, 3
 -N           no relocations
 -i           only say what is in use
 -o           print progress dots
 -d, -D, -X, -L, -M are accepted for compatibility, without effect
`
	optionLetters   = "s:S:lbnrfz:I:R:c:F:ZYxMH:U:P:a:e:k:u:13NLXDidovh"
	dotsPerLine     = 61
	slicesMax       = 128
	sigFileBytesMax = 32 + 32*sig.RecordsMax
)

// command is a parsed command line.
type command struct {
	in, out   string
	base, sig string
	hasSig    bool
	keyFile   string
	encrypt   bool
	info      bool
	dots      bool
	opts      Options

	stdin          io.Reader
	stdout, stderr io.Writer
}

// Main is imagezip, with the old program's options, texts and exit status;
// args are those after the program's name.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &command{stdin: stdin, stdout: stdout, stderr: stderr}
	done, err := c.parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "imagezip: %v\n%s", err, usage)
		return 1
	}
	if done {
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := c.run(ctx); err != nil {
		fmt.Fprintf(stderr, "imagezip: %v\n", err)
		return 1
	}
	return 0
}

func (c *command) parse(args []string) (done bool, err error) {
	options, operands, err := getopt.Parse(args, optionLetters)
	if err != nil {
		return false, err
	}
	for _, o := range options {
		if o.Letter == 'v' {
			fmt.Fprintf(c.stderr, "imagezip: writes image versions %s to %s\n", ndz.V1, ndz.V4)
			return true, nil
		}
		if err := c.option(o); err != nil {
			return false, fmt.Errorf("option -%c: %w", o.Letter, err)
		}
	}
	switch {
	case len(operands) == 2:
		c.in, c.out = operands[0], operands[1]
	case len(operands) == 1 && c.info:
		c.in = operands[0]
	default:
		return false, errors.New("want an input and an image")
	}
	if c.in == "-" {
		return false, errors.New("the input must be a file or a device")
	}
	if c.opts.Bare && c.opts.Slice > 0 {
		return false, errors.New("option -s is not for a bare file system")
	}
	if c.opts.MaxSectors > 0 && c.opts.Slice > 0 {
		return false, errors.New("option -c is not for a partition")
	}
	if c.opts.FullPercent > 0 && c.base == "" {
		return false, errors.New("option -P needs -H")
	}
	return false, nil
}

// option takes the options that say what is imaged.
func (c *command) option(o getopt.Option) (err error) {
	p := &c.opts
	var n int
	switch o.Letter {
	case 's':
		p.Slice, err = number(o.Value, 1, slicesMax)
	case 'S':
		n, err = number(o.Value, 1, 255)
		c.bare(n)
	case 'l':
		c.bare(0x83)
	case 'b':
		c.bare(0xa5)
	case 'n':
		c.bare(7)
	case 'r', 'f':
		p.Raw = true
	case 'I':
		n, err = number(o.Value, 1, slicesMax)
		p.Ignore = append(p.Ignore, n)
	case 'R':
		n, err = number(o.Value, 1, slicesMax)
		p.KeepRaw = append(p.KeepRaw, n)
	case 'c':
		n, err = number(o.Value, 1, 1<<31-1)
		p.MaxSectors = uint64(n)
	case 'F':
		if p.MinFreeSectors, err = number(o.Value, 0, 1<<30); p.MinFreeSectors == 0 {
			p.MinFreeSectors = -1
		}
	case 'Z', 'Y':
		p.KeepDeleted = o.Letter == 'Y'
	case 'x':
		p.SkipTail = true
	default:
		return c.format(o)
	}
	return err
}

// format takes the options that say what the image is like.
func (c *command) format(o getopt.Option) (err error) {
	p := &c.opts
	switch o.Letter {
	case 'z':
		level := 0
		level, err = number(o.Value, 0, 9)
		p.Level = &level
	case 'H':
		c.base = o.Value
	case 'U':
		c.hasSig, c.sig = true, o.Value
	case 'P':
		p.FullPercent, err = number(o.Value, 1, 100)
	case 'a':
		if p.Checksum = strings.EqualFold(o.Value, "SHA1"); !p.Checksum {
			err = fmt.Errorf("unknown checksum %q, want SHA1", o.Value)
		}
	case 'e':
		if c.encrypt = o.Value == "bf_cbc"; !c.encrypt {
			err = fmt.Errorf("unknown cipher %q, want bf_cbc", o.Value)
		}
	case 'k':
		c.keyFile = o.Value
	case 'u':
		var id ndz.ImageID
		id, err = ndz.ParseImageID(strings.TrimPrefix(o.Value, "0x"))
		p.ImageID = &id
	case '1':
		p.Version = ndz.V1
	case '3':
		p.Version = ndz.V3
	case 'N':
		p.NoRelocs = true
	case 'i':
		c.info = true
	case 'o':
		c.dots = true
	case 'h':
		err = errors.New("help")
	}
	return err
}

// bare says that the input is a file system of a DOS partition type.
func (c *command) bare(kind int) {
	c.opts.Bare = true
	switch kind {
	case 7:
		c.opts.FileSystem = "ntfs"
	case 0x83:
		c.opts.FileSystem = "ext"
	case 0x82:
		c.opts.FileSystem = "swap"
	case 0xa5, 0xa6, 0xa9:
		c.opts.FileSystem = "ufs"
	case 1, 4, 6, 0xb, 0xc, 0xe:
		c.opts.FileSystem = "fat"
	}
}

func number(s string, low, high int) (int, error) {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil || n < int64(low) || n > int64(high) {
		return 0, fmt.Errorf("%q is not a number from %d to %d", s, low, high)
	}
	return int(n), nil
}

func (c *command) run(ctx context.Context) error {
	src, closer, err := OpenSource(c.in)
	if err != nil {
		return err
	}
	defer closer.Close()
	c.opts.Warn = func(text string) { fmt.Fprintf(c.stderr, "imagezip: warning: %s\n", text) }
	if c.info {
		return c.inform(src)
	}
	if err := c.readFiles(); err != nil {
		return err
	}
	start := time.Now()
	dots := c.progress(start)
	stats, err := c.create(ctx, src)
	dots.End()
	if err != nil {
		return fmt.Errorf("%s: %w", c.in, err)
	}
	c.report(stats, time.Since(start))
	return nil
}

// readFiles reads the signature and the key that options name.
func (c *command) readFiles() error {
	if c.base != "" {
		b, err := readFile(c.base, sigFileBytesMax)
		if err == nil {
			c.opts.Base, err = sig.Parse(b)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.base, err)
		}
		c.opts.Chosen = c.chosen
	}
	if c.hasSig {
		c.opts.Signature = &sig.File{}
		if c.sig == "" && c.out == "-" {
			c.sig = filepath.Join(os.TempDir(), "stdout.sig")
		} else if c.sig == "" {
			c.sig = c.out + ".sig"
		}
	}
	if c.opts.Checksum {
		if err := c.signingKey(); err != nil {
			return err
		}
	}
	if c.encrypt {
		return c.key()
	}
	return nil
}

// signingKey makes the key that checksums are signed with.
func (c *command) signingKey() (err error) {
	path := c.out + ".skey"
	if c.out == "-" {
		path = "stdout.skey"
	}
	if c.opts.Sign, err = ndz.NewSigningKey(); err != nil {
		return err
	}
	if err := os.WriteFile(path, c.opts.Sign.Text(), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(c.stderr, "Signing pubkey written to %s\n", path)
	return nil
}

// key reads the key, or makes one and writes it down.
func (c *command) key() error {
	if c.keyFile == "" {
		c.keyFile = c.out + ".ekey"
	}
	text, err := readFile(c.keyFile, 1024)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(hex.EncodeToString(ndz.NewKey()) + "\n")
		err = os.WriteFile(c.keyFile, text, 0o600)
	}
	if err == nil {
		c.opts.Key, err = ndz.ParseKey(text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.keyFile, err)
	}
	return nil
}

func readFile(path string, bytesMax int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, bytesMax))
}

func (c *command) progress(start time.Time) *getopt.Dots {
	dots := &getopt.Dots{W: c.stderr, PerLine: dotsPerLine, Start: start}
	if c.dots {
		c.opts.Progress = func(s Stats) {
			dots.Mark('.', func(sec int64) string { return fmt.Sprintf(" %12d %4d", s.InputBytes, sec) })
		}
	}
	return dots
}

// chosen prints what scripts look for.
func (c *command) chosen(l *Layout) {
	fmt.Fprintf(c.stderr, "Full image size %d sect, delta image size %d sect\n", l.FullSectors, l.DeltaSectors)
	kind := "full"
	if l.Delta {
		kind = "delta"
	}
	if c.opts.FullPercent > 0 {
		fmt.Fprintf(c.stderr, "Auto image selection creating %s image.\n", kind)
	}
}

func (c *command) create(ctx context.Context, src Source) (Stats, error) {
	if c.out != "-" {
		return CreateFile(ctx, src, c.out, c.sig, c.opts)
	}
	stats, err := Create(ctx, src, c.stdout, c.opts)
	if err == nil && c.hasSig {
		err = os.WriteFile(c.sig, c.opts.Signature.AppendTo(nil), 0o644)
	}
	return stats, err
}

func (c *command) report(s Stats, took time.Duration) {
	seconds := fmt.Sprintf("%d.%03d seconds", took.Milliseconds()/1000, took.Milliseconds()%1000)
	fmt.Fprintf(c.stderr, "%d input (%d compressed) bytes in %s\n", s.InputBytes, s.DataBytes, seconds)
	fmt.Fprintf(c.stderr, "Image size: %d bytes\n", s.ImageBytes)
	fmt.Fprintf(c.stderr, "%.3fMB/second compressed\n", float64(s.DataBytes)/(1<<20)/max(took.Seconds(), 0.001))
	fmt.Fprintf(c.stderr, "Finished in %s\n", seconds)
}

// inform prints what an image would hold.
func (c *command) inform(src Source) error {
	l, err := Analyze(src, c.opts)
	if err != nil {
		return fmt.Errorf("%s: %w", c.in, err)
	}
	c.opts.warn(l.Warnings)
	var data uint64
	for _, r := range l.Data {
		data += r.Sectors()
	}
	fmt.Fprintf(c.stderr, "%s: %s, %d sectors, %d in use in %d ranges\n", c.in, l.Scheme, l.Sectors, data, len(l.Data))
	for _, p := range l.Parts {
		what := p.FileSystem
		if what == "" {
			what = "unknown content, kept whole"
		}
		fmt.Fprintf(c.stderr, "P%d: start %d, %d sectors, type %s: %s, %d sectors free\n",
			p.Number, p.Start, p.Sectors, p.Type, what, p.FreeSectors)
	}
	return nil
}
