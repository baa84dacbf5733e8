package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"hyzer/imaging/ndz"
	"hyzer/imaging/zip"
)

// Formats that an image or a disk can have.
const (
	formatImage = "ndz"
	formatRaw   = "raw"
)

// qemuFormats are the formats that qemu-img knows, by the ends of names.
func qemuFormats() map[string]string {
	return map[string]string{"qcow2": "qcow2", "vmdk": "vmdk", "vdi": "vdi", "vhdx": "vhdx"}
}

func imageConvert(e *env, args []string) error {
	fs, address := e.flags("image convert")
	read, format := readFlags{}, formatFlags{}
	read.add(fs)
	format.add(fs)
	from := fs.String("from", "", "`format` of the input: ndz, raw, qcow2, vmdk, vdi, vhdx; told by its content or name")
	to := fs.String("to", "", "`format` of the output; told by its name")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return badUsage("want what is there and what is to be made")
	}
	o := zip.Options{}
	if err := format.options(&o); err != nil {
		return err
	}
	c := conversion{e: e, read: read, opts: o, in: rest[0], out: rest[1]}
	if c.from, err = formatOf(*from, rest[0], true); err != nil {
		return err
	}
	if c.to, err = formatOf(*to, rest[1], false); err != nil {
		return err
	}
	return c.run()
}

// conversion is one run of the verb.
type conversion struct {
	e        *env
	read     readFlags
	opts     zip.Options
	in, out  string
	from, to string
}

// formatOf tells a format by what was said, by content, or by the name.
func formatOf(said, name string, exists bool) (string, error) {
	if said != "" {
		if said != formatImage && said != formatRaw && qemuFormats()[said] == "" {
			return "", badUsage("format %q: want ndz, raw, qcow2, vmdk, vdi or vhdx", said)
		}
		return said, nil
	}
	if exists {
		path := chainPaths(name)[0]
		if _, err := os.Stat(path); err != nil {
			return "", err
		}
		if isImage(path) {
			return formatImage, nil
		}
	}
	ext := strings.TrimPrefix(filepath.Ext(name), ".")
	switch {
	case qemuFormats()[ext] != "":
		return ext, nil
	case ext == formatImage && !exists:
		return formatImage, nil
	case ext == formatRaw, ext == "img", exists:
		return formatRaw, nil
	}
	return "", badUsage("%s: the name does not tell the format: say it with --to", name)
}

// isImage tells whether there is an image in a file.
func isImage(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, ndz.HeaderAreaBytes)
	if n, _ := f.ReadAt(head, 0); n < len(head) {
		return false
	}
	_, err = ndz.ParseHeader(head)
	return err == nil
}

func (c conversion) run() error {
	switch {
	case c.from == formatImage && c.to == formatImage:
		return c.rewrite()
	case c.from == formatImage:
		return c.disk()
	case c.to == formatImage:
		return c.image()
	}
	return badUsage("%s to %s: one of the two must be an image; qemu-img does the rest", c.from, c.to)
}

// rewrite writes an image in another version. A delta stays a delta on the same
// base.
func (c conversion) rewrite() error {
	read := c.read
	read.anyBase = read.anyBase || len(chainPaths(c.in)) == 1
	chain, err := read.open(c.e, c.in)
	if err != nil {
		return err
	}
	defer chain.Close()
	if err := chain.Freed(); err != nil {
		return err
	}
	return merge(c.e, "convert", chain, c.opts, c.out)
}

// disk makes a disk of an image. A file has its name only when it is whole.
func (c conversion) disk() error {
	if c.to == formatRaw && isDevice(c.out) {
		r, err := restoreTo(c.e, c.read, c.in, c.out)
		if err != nil {
			return err
		}
		return r.report(c.out)
	}
	return c.beside(c.to != formatRaw, func(dir string) error {
		made := filepath.Join(dir, "disk")
		r, err := restoreTo(c.e, c.read, c.in, made)
		if err != nil {
			return err
		}
		if c.to != formatRaw {
			raw := made
			made += "." + c.to
			if err := qemuImg(c.e.ctx, "convert", "-f", formatRaw, "-O", c.to, raw, made); err != nil {
				return err
			}
		}
		if err := os.Rename(made, c.out); err != nil {
			return err
		}
		r.out.Target = c.out
		return r.report(c.out)
	})
}

func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}

// image makes an image of a disk.
func (c conversion) image() error {
	if c.from == formatRaw {
		return c.make(c.in)
	}
	return c.beside(true, func(dir string) error {
		raw := filepath.Join(dir, "disk")
		if err := qemuImg(c.e.ctx, "convert", "-f", c.from, "-O", formatRaw, c.in, raw); err != nil {
			return err
		}
		return c.make(raw)
	})
}

func (c conversion) make(path string) error {
	src, closer, err := zip.OpenSource(path)
	if err != nil {
		return err
	}
	defer closer.Close()
	m := c.e.meter("convert")
	c.opts.Warn = m.warn
	return makeImage(m, src, c.out, c.opts, false)
}

// beside gives fn a folder beside the output, which is gone afterwards. What is
// in it takes the room of what is in use of the disk.
func (c conversion) beside(qemu bool, fn func(dir string) error) error {
	if _, err := exec.LookPath("qemu-img"); qemu && err != nil {
		return errors.New("qemu-img is not installed; it is in the package qemu-utils. Without it, convert to or from raw")
	}
	dir, err := os.MkdirTemp(filepath.Dir(c.out), ".convert-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return fn(dir)
}

func qemuImg(ctx context.Context, args ...string) error {
	if out, err := exec.CommandContext(ctx, "qemu-img", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("qemu-img %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
