package sig

import (
	"errors"
	"fmt"
	"strconv"

	"hyzer/imaging/internal/getopt"
	"hyzer/imaging/ndz"
)

func (c *command) parse(args []string) (done bool, err error) {
	options, operands, err := getopt.Parse(args, "cSRo:D:b:XdqTnvCNhrF:")
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
	if len(operands) != want {
		return false, fmt.Errorf("want %d file names", want)
	}
	c.image = operands[0]
	if want == 2 {
		c.device = operands[1]
	}
	if c.sigPath == "" {
		c.sigPath = c.image + ".sig"
	}
	return false, nil
}

func (c *command) option(o getopt.Option) error {
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
		switch o.Value {
		case "md5":
			c.opts.Type = MD5
		case "sha1":
			c.opts.Type = SHA1
		case "raw":
			c.raw = true
		default:
			return fmt.Errorf("unknown hash %q, want md5, sha1 or raw", o.Value)
		}
	case 'b':
		n, err := strconv.Atoi(o.Value)
		if err != nil || n < blockBytesMin || n > blockBytesMax || n%ndz.SectorBytes != 0 {
			return fmt.Errorf("block of %q bytes, want %d to %d in whole sectors", o.Value, blockBytesMin, blockBytesMax)
		}
		c.opts.BlockSectors = uint64(n / ndz.SectorBytes)
	case 'r':
		c.regular = true
	case 'X':
		c.opts.JoinSpans = true
	case 'd':
		c.detail++
	case 'q', 'T':
		c.quiet = true
	case 'n':
		c.opts.Workers = 1
	case 'h':
		return errors.New("help")
	}
	return nil
}
