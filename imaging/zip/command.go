package zip

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"hyzer/imaging/cli"
	"hyzer/imaging/freemap"
	"hyzer/imaging/internal/replace"
	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

const (
	usage = `usage: imagezip [options] <device or file> [image]
 -s slice     image only this DOS or GPT partition
 -S type      the input is a bare file system of this DOS type
 -l, -b, -n   the input is a bare Linux, BSD or NTFS file system
 -r           keep all bytes of the input; "-" is standard input, of which what
              is no file goes through a temporary one
 -f           the input is a regular file; keep all bytes
 -z level     compression level, 0 to 9 (4)
 --best       the smallest image that takes no longer than the old program's
 -I slice     keep nothing of this partition, of one in a BSD slice with its
              letter (2a); can be repeated
 -R slice     keep all bytes of this partition, named alike; can be repeated
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
 -v           print the version
 -X           store sectors that cannot be read as zeros
 --v5                 write version 5, which only this program's imageunzip reads
 --codec NAME         compress it with zstd (the default), zlib or none
 --sector-size BYTES  of the disk, if it is a file: 512 to 65536 (as its GPT says)
 --image-version N    count of the image's versions, stored in it
 --manifest           write <image>.manifest, the sums of the image's chunks
 --manifest-key FILE  the same, signed with this Ed25519 private key (PEM)
 -d, -D, -L, -M are accepted for compatibility, without effect
`
	optionLetters = "s:S:lbnrfz:I:R:c:F:ZYxMH:U:P:a:e:k:u:13NLXDidovh"
	dotsPerLine   = 61
	slicesMax     = 128
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
	patient   bool
	opts      Options
	keys      []string    // that were made: what they are and where
	keyFiles  replace.Set // the same, which have no names before there is an image

	warnMu sync.Mutex

	stdin          io.Reader
	stdout, stderr io.Writer
}

// Main is imagezip, with the old program's options, texts and exit status;
// args are those after the program's name.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	c := &command{stdin: stdin, stdout: stdout, stderr: stderr}
	return tool.Main("imagezip", usage, stderr, func() (bool, error) { return c.parse(args) }, func(ctx context.Context) (int, error) {
		return tool.Status(c.run(ctx))
	})
}

func (c *command) run(ctx context.Context) error {
	src, closer, err := c.source(ctx)
	if err != nil {
		return err
	}
	defer closer.Close()
	c.opts.Warn = c.warn
	if c.patient {
		src = Patient(src, c.warn)
	}
	if c.info {
		return c.inform(src)
	}
	defer c.keyFiles.Discard()
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
	if err := c.nameKeys(); err != nil {
		return err
	}
	c.report(stats, time.Since(start))
	return nil
}

// addKey writes a key that was made for the image to a file, which has its name
// only when there is an image: until then the key is that of the one before it.
func (c *command) addKey(kind, path string, text []byte, mode os.FileMode) error {
	f, err := c.keyFiles.Create(path, mode)
	if err == nil {
		_, err = f.Write(text)
	}
	c.keys = append(c.keys, fmt.Sprintf("%s written to %s", kind, path))
	return err
}

// nameKeys gives the keys that were made their names.
func (c *command) nameKeys() error {
	if err := c.keyFiles.Commit(time.Now()); err != nil {
		return fmt.Errorf("%s was made, but cannot be read without its key: %w", c.out, err)
	}
	for _, k := range c.keys {
		fmt.Fprintln(c.stderr, k)
	}
	return nil
}

func (c *command) source(ctx context.Context) (Source, io.Closer, error) {
	if c.in == "-" {
		return spool(ctx, c.stdin)
	}
	return OpenSource(c.in)
}

// warn may be called by several workers at once.
func (c *command) warn(text string) {
	c.warnMu.Lock()
	defer c.warnMu.Unlock()
	fmt.Fprintf(c.stderr, "imagezip: warning: %s\n", text)
}

// readFiles reads the signature and the key that options name.
func (c *command) readFiles() error {
	if c.base != "" {
		var err error
		if c.opts.Base, err = sig.ReadFile(c.base); err != nil {
			return err
		}
	}
	if c.base != "" || c.hasSig {
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
	return c.addKey("Signing pubkey", path, c.opts.Sign.Text(), fileMode)
}

// key reads the key, or makes one.
func (c *command) key() error {
	if c.keyFile == "" {
		c.keyFile = c.out + ".ekey"
	}
	text, err := cli.KeyFile(c.keyFile)
	if errors.Is(err, os.ErrNotExist) {
		text = []byte(hex.EncodeToString(ndz.NewKey()) + "\n")
		err = c.addKey("Encryption key", c.keyFile, text, 0o600)
	}
	if err == nil {
		c.opts.Key, err = ndz.ParseKey(text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.keyFile, err)
	}
	return nil
}

func (c *command) progress(start time.Time) *tool.Dots {
	dots := &tool.Dots{W: c.stderr, PerLine: dotsPerLine, Start: start}
	if c.dots {
		c.opts.Progress = func(s Stats) {
			dots.Mark('.', func(sec int64) string { return fmt.Sprintf(" %12d %4d", s.InputBytes, sec) })
		}
	}
	return dots
}

// chosen prints what scripts look for.
func (c *command) chosen(l *Layout) {
	stats := l.Hashes
	if stats == nil {
		stats = &HashStats{BlockSectors: sig.BlockSectorsDefault, Current: freemap.Total(l.Data)}
		stats.print(c.stderr, "", c.opts.Slice)
		return
	}
	fmt.Fprintf(c.stderr, "Full image size %d sect, delta image size %d sect\n", l.FullSectors, l.DeltaSectors)
	kind := "full"
	if l.Delta {
		kind = "delta"
	}
	if c.opts.FullPercent > 0 {
		fmt.Fprintf(c.stderr, "Auto image selection creating %s image.\n", kind)
	}
	stats.print(c.stderr, c.base, c.opts.Slice)
}

func (c *command) create(ctx context.Context, src Source) (Stats, error) {
	out, closer, err := c.stream(src)
	if err != nil {
		return Stats{}, err
	}
	if out == nil {
		return CreateFile(ctx, src, c.out, c.sig, c.opts)
	}
	stats, err := Create(ctx, src, out, c.opts)
	if err == nil && c.hasSig {
		err = c.opts.Signature.WriteFile(c.sig)
	}
	return stats, errors.Join(err, closer.Close())
}

// stream opens an output that is no regular file, and is written as it is: a
// pipe, a terminal, a device. It is nil for an image that is to be a file.
func (c *command) stream(src Source) (io.Writer, io.Closer, error) {
	if c.out == "-" {
		return c.stdout, io.NopCloser(nil), nil
	}
	info, err := os.Stat(c.out)
	if err != nil || info.Mode().IsRegular() || info.IsDir() {
		return nil, nil, nil // made, or refused, by its name
	}
	if c.opts.Manifest != nil {
		return nil, nil, errors.New("option --manifest is for an image that is a file")
	}
	if err := src.spare(c.out); err != nil {
		return nil, nil, err
	}
	d, err := openDevice(c.out)
	if err != nil {
		return nil, nil, err
	}
	return d, d, nil
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
