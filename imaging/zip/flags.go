package zip

import (
	"errors"
	"fmt"
	"strings"

	"hyzer/imaging/cli"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/v5"
)

func (c *command) parse(args []string) (done bool, err error) {
	options, operands, err := cli.Parse(args, optionLetters, longOptions()...)
	if err != nil {
		return false, err
	}
	for _, o := range options {
		if o.Letter == 'v' {
			fmt.Fprintf(c.stderr, "imagezip: writes image versions %s to %s\n", ndz.V1, ndz.V5)
			return true, nil
		}
		if err := c.option(o); err != nil {
			return false, fmt.Errorf("option %s: %w", o, err)
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
	if c.in == "-" && !c.opts.Raw {
		return false, errors.New("standard input can only be imaged raw, with -r or -f")
	}
	if c.opts.Bare && c.opts.Slice > 0 {
		return false, errors.New("option -s is not for a bare file system")
	}
	if c.opts.MaxSectors > 0 && c.opts.Slice > 0 {
		return false, errors.New("option -c is not for a partition")
	}
	return false, c.checkV5()
}

func longOptions() []string {
	return []string{"best", "v5", "codec:", "sector-size:", "image-version:", "manifest", "manifest-key:"}
}

// long takes the options that the old program does not have.
func (c *command) long(o cli.Option) (err error) {
	p := &c.opts
	n := 0
	switch o.Name {
	case "best":
		level := levelBest
		p.Level = &level
	case "v5":
		p.Version = ndz.V5
	case "codec":
		var codec v5.Codec
		codec, err = v5.ParseCodec(o.Value)
		p.Codec = &codec
	case "sector-size":
		if p.SectorBytes, err = cli.Number(o.Value, v5.SectorBytesMin, v5.SectorBytesMax); err == nil && p.SectorBytes&(p.SectorBytes-1) != 0 {
			err = fmt.Errorf("%d is no power of two", p.SectorBytes)
		}
	case "image-version":
		n, err = cli.Number(o.Value, 0, 1<<32-1)
		p.ImageVersion = uint32(n)
	case "manifest":
		p.Manifest = &manifest.Manifest{}
	case "manifest-key":
		p.Manifest = &manifest.Manifest{}
		var text []byte
		if text, err = cli.KeyFile(o.Value); err == nil {
			p.ManifestKey, err = manifest.ParsePrivateKey(text)
		}
	}
	return err
}

// checkV5 refuses what the versions do not have.
func (c *command) checkV5() error {
	p := &c.opts
	switch {
	case p.Manifest != nil && c.out == "-":
		return errors.New("option --manifest is for an image that is a file")
	case p.version() != ndz.V5 && (p.Codec != nil || p.ImageVersion != 0):
		return errors.New("options --codec and --image-version need --v5")
	case p.version() == ndz.V5 && (p.Checksum || c.encrypt):
		return errors.New("options -a and -e are not for V5 images; sign the manifest, with --manifest-key")
	}
	return nil
}

// option takes the options that say what is imaged.
func (c *command) option(o cli.Option) (err error) {
	p := &c.opts
	var n int
	switch o.Letter {
	case 0:
		return c.long(o)
	case 's':
		p.Slice, err = cli.Number(o.Value, 1, slicesMax)
	case 'S':
		n, err = cli.Number(o.Value, 1, 255)
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
		err = partOf(o.Value, &p.Ignore, &p.IgnoreBSD)
	case 'R':
		err = partOf(o.Value, &p.KeepRaw, &p.KeepRawBSD)
	case 'c':
		n, err = cli.Number(o.Value, 1, 1<<31-1)
		p.MaxSectors = uint64(n)
	case 'F':
		if p.MinFreeSectors, err = cli.Number(o.Value, 0, 1<<30); p.MinFreeSectors == 0 {
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
func (c *command) format(o cli.Option) (err error) {
	p := &c.opts
	switch o.Letter {
	case 'z':
		level := 0
		level, err = cli.Number(o.Value, 0, 9)
		p.Level = &level
	case 'H':
		c.base = o.Value
	case 'U':
		c.hasSig, c.sig = true, o.Value
	case 'P':
		p.FullPercent, err = cli.Number(o.Value, 1, 100)
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
	case 'X':
		c.patient = true
	case 'h':
		err = cli.ErrHelp
	}
	return err
}

// partOf adds a partition to one of two lists, as "2" or, in a BSD slice, "2a".
func partOf(s string, parts *[]int, bsd *[]BSDPart) error {
	digits := strings.TrimRight(s, "abcdefghijklmnop")
	n, err := cli.Number(digits, 1, slicesMax)
	switch letter := s[len(digits):]; {
	case err != nil || len(letter) > 1:
		return fmt.Errorf("%q is not a number from 1 to %d, with a letter from a to p for one in a BSD slice", s, slicesMax)
	case letter == "":
		*parts = append(*parts, n)
	default:
		*bsd = append(*bsd, BSDPart{n, int(letter[0]-'a') + 1})
	}
	return nil
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
