package unzip

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"hyzer/imaging/cli"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// parse returns true if there is nothing more to do.
func (c *command) parse(args []string) (done bool, err error) {
	options, operands, err := cli.Parse(args, optionLetters, longOptions()...)
	if err != nil {
		return false, err
	}
	for _, o := range options {
		if o.Letter == 'v' {
			fmt.Fprintf(c.stderr, "imageunzip: reads image versions %s to %s\n", ndz.V1, ndz.V5)
			return true, nil
		}
		if err := c.option(o); err != nil {
			return false, fmt.Errorf("option %s: %w", o, err)
		}
	}
	switch len(operands) {
	case 1:
		c.in, c.out = operands[0], "-"
	case 2:
		c.in, c.out = operands[0], operands[1]
	default:
		return false, errors.New("want an input and an output")
	}
	if c.slice > 0 && c.out == "-" {
		return false, errors.New("option -s needs a disk to write to")
	}
	if c.opts.Pattern != 0 && (c.out == "-" || c.slice > 0) {
		return false, errors.New("option -p is for a whole disk or file")
	}
	if err := c.checkOutput(); err != nil {
		return false, err
	}
	if c.resume && (c.in == "-" || c.out == "-") {
		return false, errors.New("option --resume needs an image and an output that are files")
	}
	if c.manifestKey != nil && c.manifestPath == "" && c.in == "-" {
		return false, errors.New("option --manifest-key needs --manifest for an image from a pipe")
	}
	if c.slicetype >= 0 && c.slice == 0 {
		return false, errors.New("option -D needs -s")
	}
	return false, nil
}

// checkOutput holds the options of the old program's tests against each other.
func (c *command) checkOutput() error {
	switch {
	case c.opts.DataOnly && c.out != "-":
		return errors.New("Must output to stdout with -I")
	case c.most > 0 && (c.out == "-" || c.slice > 0 || c.opts.ZeroFill):
		return errors.New("option -M is for a disk or file, without -s, -z and -p")
	case c.copies && (c.resume || c.slice > 0 || c.most > 0):
		return errors.New("option -N copies all of an image")
	}
	return nil
}

func longOptions() []string {
	return []string{"base:", "base-id:", "any-base", "resume", "signature:", "manifest:", "manifest-key:"}
}

// long takes the options that the old program does not have.
func (c *command) long(o cli.Option) (err error) {
	switch o.Name {
	case "base":
		c.opts.Base, err = sig.ReadFile(o.Value)
	case "base-id":
		c.opts.BaseID, err = ndz.ParseStateID(o.Value)
	case "any-base":
		c.opts.AnyBase = true
	case "resume":
		c.resume = true
	case "manifest":
		c.manifestPath = o.Value
	case "manifest-key":
		var text []byte
		if text, err = cli.KeyFile(o.Value); err == nil {
			c.manifestKey, err = manifest.ParsePublicKey(text)
		}
	case "signature":
		c.resume, c.sigPath = true, o.Value
	}
	return err
}

func (c *command) option(o cli.Option) (err error) {
	if o.Letter == 0 {
		return c.long(o)
	}
	decode := &c.opts.Decode
	switch o.Letter {
	case 's':
		c.slice, err = cli.Number(o.Value, 1, 128)
	case 'D':
		c.slicetype, err = cli.Number(o.Value, 0, 255)
	case 'M':
		c.most, err = cli.Number(o.Value, 1, math.MaxUint32)
		decode.Placement.Size = uint64(c.most)
	case 'N':
		c.copies = true
	case 'I':
		c.opts.DataOnly = true
	case 'C':
		c.crc = true
	case 'K':
		c.keep = true
	case 'z':
		c.opts.ZeroFill = true
	case 'p':
		var n uint64
		if n, err = strconv.ParseUint(o.Value, 0, 64); err != nil {
			err = fmt.Errorf("%q is not a number", o.Value)
		}
		c.opts.ZeroFill, c.opts.Pattern = true, uint32(n)
	case 'c':
		decode.Checksum = true
	case 'a':
		decode.Checksum = true
		var text []byte
		if text, err = cli.KeyFile(o.Value); err == nil {
			decode.SigningKey, err = ndz.ParseSigningKey(text)
		}
	case 'k':
		var text []byte
		if text, err = cli.KeyFile(o.Value); err == nil {
			decode.Key, err = ndz.ParseKey(text)
		}
	case 'u':
		var id ndz.ImageID
		id, err = ndz.ParseImageID(strings.TrimPrefix(o.Value, "0x"))
		decode.ImageID = &id
	case 'o', '0':
		c.dots = true
	case 'O':
		c.gigadots = true
	case 'n':
		c.opts.Workers = 1
	case 'h':
		err = cli.ErrHelp
	}
	return err
}
