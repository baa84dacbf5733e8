package ndz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"hyzer/imaging/cli"
	"hyzer/imaging/internal/tool"
)

const dumpUsage = `usage: imagedump [options] <image>...
 -d           print chunks; twice: regions and relocations too
 -c           inflate everything and verify checksums, with the signing key
              in <image>.skey if there is one
 -q           only tell by the exit status whether it is an image
 -v           print the version
 -m           print a map of what is allocated (A) and free (F), in sectors, hex
 -i           accepted for compatibility, without effect
`

type dumpOptions struct {
	detail        int
	verify, quiet bool
	areas         bool
}

// Main is imagedump: it describes images, and returns how many were bad. args
// are those after the program's name.
func Main(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	options, files, err := cli.Parse(args, "dcqvimh")
	if err == nil && len(files) == 0 && (len(options) == 0 || options[0].Letter != 'v') {
		err = errors.New("no image given")
	}
	var o dumpOptions
	for _, x := range options {
		switch x.Letter {
		case 'd':
			o.detail++
		case 'c':
			o.verify = true
		case 'm':
			o.areas = true
		case 'q':
			o.quiet = true
		case 'h':
			err = cli.ErrHelp
		case 'v':
			fmt.Fprintf(stderr, "imagedump: reads image versions %s to %s\n", V1, V5)
			return 0
		}
	}
	if err != nil {
		cli.PrintUsage(stderr, "imagedump", dumpUsage, err)
		return 1
	}
	bad := 0
	for _, path := range files {
		if err := o.file(path, stdout); err != nil {
			bad++
			if !o.quiet {
				fmt.Fprintf(stderr, "%s: %v\n", path, err)
			}
		}
	}
	return min(bad, 255)
}

func (o dumpOptions) file(path string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if o.quiet {
		head := make([]byte, HeaderAreaBytes)
		if n, err := f.ReadAt(head, 0); n < len(head) {
			return err
		}
		_, err := parseMagic(head)
		return err
	}
	if err := dump(&dumper{w: w, name: path, detail: o.detail, areas: o.areas}, f, info.Size()); err != nil {
		return err
	}
	if !o.verify {
		return nil
	}
	return verify(path, f, info.Size())
}

// verify inflates an image, and verifies checksums if there are any. The
// payload of an encrypted image is not looked into.
func verify(path string, f *os.File, size int64) error {
	sum, err := Info(f, size)
	if err != nil {
		return err
	}
	opts := DecodeOptions{Checksum: sum.Checksum != ChecksumNone, AsStored: true}
	if sum.Checksum == ChecksumSignedSHA1 {
		if opts.SigningKey, err = readSigningKey(path + ".skey"); err != nil {
			return err
		}
	}
	if sum.Encrypted {
		return verifySums(f, sum.Chunks, opts.SigningKey)
	}
	return Each(context.Background(), f, sum.Chunks, tool.Workers(0), opts, func(int, *Header, *Decoder) error { return nil })
}

func readSigningKey(path string) (*SigningKey, error) {
	text, err := cli.KeyFile(path)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return ParseSigningKey(text)
}

// verifySums verifies the checksum of every chunk, and nothing else.
func verifySums(r io.ReaderAt, chunks int, key *SigningKey) error {
	buf := make([]byte, ChunkBytes)
	for i := range chunks {
		if err := ReadChunk(r, i, buf); err != nil {
			return err
		}
		h, err := ParseHeader(buf)
		if err == nil && h.Checksum != ChecksumNone {
			err = checkSum(buf, h, key)
		}
		if err != nil {
			return InChunk(err, i)
		}
	}
	return nil
}
