package sig

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"hyzer/imaging/internal/replace"
	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
)

const hashUsage = `usage: imagehash [options] <image> <device>  check a disk against a signature
       imagehash -c [options] <image>        make the signature <image>.sig
       imagehash -S [options] <image>        check an image against its signature
       imagehash -R [options] <image>        print the hashes of an image
       imagehash -R -o <signature>           print what is in a signature
 -o file      name of the signature
 -D type      hash with md5 or sha1 (sha1); raw: compare the bytes of image and
              device themselves
 -b bytes     size of a hash block (65536)
 -X           one record for a block that a chunk border cuts
 -r           the image is a regular file, with -c, -S or -R
 -d           name every bad block
 -q           print no summary, only what is bad
 -n           hash on one core
 -v           print the version
 -N           leave out blocks that depend on where the image is restored to
 -F id        call the image this with -RR, which adds chunk and image
 -C, -T are accepted for compatibility, without effect
 Exit status: 0 all right, 1 mismatch or usage, 2 no usable image or signature,
 3 disk cannot be read or is too short.
`

// Exit status of imagehash.
const (
	exitMismatch = 1
	exitImage    = 2
	exitDevice   = 3
)

const (
	blockBytesMin = ndz.SectorBytes
	blockBytesMax = BlockSectorsMax * ndz.SectorBytes
)

// command is a parsed command line.
type command struct {
	image, device  string
	create, verify bool
	report, detail int
	quiet          bool
	regular, raw   bool
	fixed          bool   // leave out blocks with relocations
	id             string // of the image, in reports
	sigPath        string
	opts           HashOptions
	stdout, stderr io.Writer
}

// Main is imagehash, with the old program's options, texts and exit status;
// args are those after the program's name.
func Main(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	c := &command{stdout: stdout, stderr: stderr}
	return tool.Main("imagehash", hashUsage, stderr, func() (bool, error) { return c.parse(args) }, c.run)
}

func (c *command) run(ctx context.Context) (int, error) {
	switch {
	case c.create:
		return c.makeSignature(ctx)
	case c.verify:
		return c.checkSignature(ctx)
	case c.report > 0:
		return c.printHashes(ctx)
	case c.raw:
		return c.compareDevice(ctx)
	}
	return c.checkDevice(ctx)
}

// hash makes the signature of the image as it is.
func (c *command) hash(ctx context.Context) (*File, error) {
	f, err := os.Open(c.image)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	signature := Image
	if c.regular {
		signature = Regular
	}
	s, err := signature(ctx, f, info.Size(), c.opts)
	if err == nil && c.fixed && !c.regular {
		s, err = s.withoutRelocated(f, info.Size())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.image, err)
	}
	return s, nil
}

// ReadFile reads the signature file at path. A long one stays open as long as
// anybody has the File.
func ReadFile(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var s *File
	info, err := file.Stat()
	if err == nil {
		s, err = parse(file, info.Size())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	if s.list.file == nil {
		return s, file.Close()
	}
	return s, nil
}

// WriteFile writes the signature to path, where it is all or nothing.
func (f *File) WriteFile(path string) error { return f.writeFile(path, time.Now()) }

func (f *File) writeFile(path string, mtime time.Time) error {
	return replace.File(path, 0o666, mtime, func(file *os.File) error {
		_, err := f.WriteTo(file)
		return err
	})
}

// ageMax is how far apart the times of an image and its signature may be.
const ageMax = 2 * time.Second

// ErrAge is a signature that is not as old as its image.
var ErrAge = errors.New("signature is not as old as its image: make it anew with imagehash -c")

// CheckAge holds the time of the signature at path against its image's; it is
// ErrAge if they differ, as those of an image that was made anew.
func CheckAge(image os.FileInfo, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if age := image.ModTime().Sub(info.ModTime()).Abs(); age > ageMax {
		return fmt.Errorf("%s: %w (%v apart)", path, ErrAge, age)
	}
	return nil
}

func (c *command) makeSignature(ctx context.Context) (int, error) {
	if err := tool.Apart(c.sigPath, c.image); err != nil {
		return exitImage, err
	}
	s, err := c.hash(ctx)
	if err != nil {
		return exitImage, err
	}
	info, err := os.Stat(c.image)
	if err == nil {
		// Old tools take a signature only if it has the image's time.
		err = s.writeFile(c.sigPath, info.ModTime())
	}
	if err != nil {
		return exitImage, err
	}
	if !c.quiet {
		err = c.summary(s, 0)
	}
	return 0, err
}

// summary is the line that scripts look for.
func (c *command) summary(s *File, bad int) error {
	chunks, size := 0, uint64(0)
	records := s.From(0)
	for records.Next() {
		r := records.Record()
		if r.partial() {
			continue
		}
		chunks = max(chunks, r.Chunk+1)
		size += r.Size * ndz.SectorBytes
	}
	fmt.Fprintf(c.stdout, "%s: %d chunks, %d of %d hashes bad, %d hashregions, %d data bytes\n",
		c.image, chunks, bad, s.Len(), s.Len(), size)
	return records.Err()
}

// checkSignature compares the image with its own signature, hashed alike.
func (c *command) checkSignature(ctx context.Context) (int, error) {
	if c.regular {
		return c.checkRegular(ctx)
	}
	want, err := ReadFile(c.sigPath)
	if err != nil {
		return exitImage, err
	}
	c.opts.Type, c.opts.BlockSectors = want.Type, want.BlockSectors
	records := want.From(0)
	for !c.opts.JoinSpans && records.Next() {
		c.opts.JoinSpans = records.Record().Spans
	}
	if records.Err() != nil {
		return exitImage, records.Err()
	}
	got, err := c.hash(ctx)
	if err != nil {
		return exitImage, err
	}
	bad, err := got.differ(want)
	if err == nil && (!c.quiet || bad > 0) {
		err = c.summary(got, bad)
	}
	if err != nil {
		return exitImage, err
	}
	if bad > 0 {
		return exitMismatch, nil
	}
	return 0, nil
}

// checkRegular compares the signature of a file that is no image with one made
// the same way.
func (c *command) checkRegular(ctx context.Context) (int, error) {
	got, err := c.hash(ctx)
	if err != nil {
		return exitImage, err
	}
	want, err := os.Open(c.sigPath)
	if err != nil {
		return exitImage, err
	}
	defer want.Close()
	stored, made := sha256.New(), sha256.New()
	if _, err := io.Copy(stored, want); err != nil {
		return exitImage, err
	}
	if _, err := got.WriteTo(made); err != nil {
		return exitImage, err
	}
	if !bytes.Equal(stored.Sum(nil), made.Sum(nil)) {
		fmt.Fprintf(c.stdout, "%s: is not what %s says\n", c.image, c.sigPath)
		return exitMismatch, nil
	}
	return 0, nil
}

// differ counts records of f that are not in the same place in g with the same
// hash.
func (f *File) differ(g *File) (int, error) {
	n := max(f.Len(), g.Len()) - min(f.Len(), g.Len())
	mine, other := f.From(0), g.From(0)
	for mine.Next() && other.Next() {
		a, b := mine.Record(), other.Record()
		if a.Start != b.Start || a.Size != b.Size || a.Hash != b.Hash {
			n++
		}
	}
	return n, errors.Join(mine.Err(), other.Err())
}

func (c *command) printHashes(ctx context.Context) (int, error) {
	if c.image == "" {
		return c.printSignature()
	}
	s, err := c.hash(ctx)
	if err != nil {
		return exitImage, err
	}
	records := s.From(0)
	for records.Next() {
		r := records.Record()
		fmt.Fprintf(c.stdout, "%s	%d	%d", hex.EncodeToString(r.Hash[:s.Type.size()]), r.Start, r.Size)
		if c.report > 1 {
			fmt.Fprintf(c.stdout, "\t%d\tU\t%s", r.Chunk, c.id)
		}
		fmt.Fprintln(c.stdout)
	}
	if records.Err() != nil {
		return exitImage, records.Err()
	}
	return 0, nil
}

// printSignature prints a signature as the old program does.
func (c *command) printSignature() (int, error) {
	s, err := ReadFile(c.sigPath)
	if err != nil {
		return exitImage, err
	}
	fmt.Fprintf(c.stdout, "sig version 2, blksize=%d sectors:\n", s.BlockSectors)
	split := 0
	records := s.From(0)
	for records.Next() {
		r := records.Record()
		chunk := strconv.Itoa(r.Chunk)
		if r.Spans {
			split++
			chunk += "-" + strconv.Itoa(r.Chunk+1)
		}
		fmt.Fprintf(c.stdout, "[%d-%d] (%d): chunk %s, hash %s\n", r.Start, uint32(r.End()-1), r.Size, chunk, hex.EncodeToString(r.Hash[:s.Type.size()]))
	}
	if split > 0 {
		fmt.Fprintf(c.stdout, "%d hashes split across chunks\n", split)
	}
	if records.Err() != nil {
		return exitImage, records.Err()
	}
	return 0, nil
}

// size is how much of Record.Hash a hash fills.
func (t HashType) size() int {
	if t == MD5 {
		return 16
	}
	return HashBytes
}
