package sig

import (
	"errors"
	"fmt"
	"strconv"

	"hyzer/imaging/cli"
	"hyzer/imaging/ndz"
)

func (c *command) parse(args []string) (done bool, err error) {
	options, operands, err := cli.Parse(args, "cSRo:D:b:XdqTnvCNhrF:")
	if err != nil {
		return false, err
	}
	for _, o := range options {
		if o.Letter == 'v' {
			fmt.Fprintf(c.stderr, "imagehash: image versions %s to %s, signature version 2\n", ndz.V1, ndz.V5)
			return true, nil
		}
		if err := c.option(o); err != nil {
			return false, fmt.Errorf("option -%c: %w", o.Letter, err)
		}
	}
	want := 2
	if c.create || c.verify || c.report > 0 {
		want = 1
	}
	if c.raw && want == 1 {
		return false, errors.New("option -D raw compares an image with a device; a signature has hashes")
	}
	if c.regular && want == 2 {
		return false, errors.New("option -r needs -c, -S or -R")
	}
	if c.report > 0 && c.sigPath != "" && len(operands) == 0 {
		return false, nil // of a signature alone
	}
	if len(operands) != want {
		return false, fmt.Errorf("want %d file names", want)
	}
	c.image = operands[0]
	if c.id == "" {
		c.id = c.image
	}
	if want == 2 {
		c.device = operands[1]
	}
	if c.sigPath == "" {
		c.sigPath = c.image + ".sig"
	}
	return false, nil
}

func (c *command) option(o cli.Option) (err error) {
	switch o.Letter {
	case 'c':
		c.create = true
	case 'S':
		c.verify = true
	case 'R':
		c.report++
	case 'o':
		c.sigPath = o.Value
	case 'D':
		if c.raw = o.Value == "raw"; !c.raw {
			c.opts.Type, err = ParseHashType(o.Value)
		}
	case 'b':
		c.opts.BlockSectors, err = ParseBlock(o.Value)
	case 'r':
		c.regular = true
	case 'N':
		c.fixed = true
	case 'F':
		c.id = o.Value
	case 'X':
		c.opts.JoinSpans = true
	case 'd':
		c.detail++
	case 'q':
		c.quiet = true
	case 'n':
		c.opts.Workers = 1
	case 'h':
		return cli.ErrHelp
	}
	return err
}

// ParseHashType reads the name of a hash as options have it.
func ParseHashType(s string) (HashType, error) {
	switch s {
	case "md5":
		return MD5, nil
	case "sha1":
		return SHA1, nil
	}
	return 0, fmt.Errorf("unknown hash %q, want md5 or sha1 (or, to compare with a device, raw)", s)
}

// ParseBlock reads the size of a hash block in bytes, and returns it in sectors.
func ParseBlock(s string) (sectors uint64, err error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < blockBytesMin || n > blockBytesMax || n%ndz.SectorBytes != 0 {
		return 0, fmt.Errorf("block of %q bytes, want %d to %d in whole sectors", s, blockBytesMin, blockBytesMax)
	}
	return uint64(n / ndz.SectorBytes), nil
}
