package main

import (
	"io"
	"time"

	"hyzer/imaging/delta"
	"hyzer/imaging/freemap"
	"hyzer/imaging/sig"
	"hyzer/imaging/zip"
)

func imageDelta(e *env, args []string) error {
	fs, address := e.flags("image delta")
	read, format := readFlags{}, formatFlags{}
	read.add(fs)
	format.add(fs)
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 3 {
		return badUsage("want a base, an image and the name of the delta")
	}
	o := zip.Options{}
	if err := format.options(&o); err != nil {
		return err
	}
	return makeDelta(e, read, o, rest[0], rest[1], rest[2])
}

// makeDelta writes the delta that makes the image to out of the image from.
func makeDelta(e *env, read readFlags, o zip.Options, from, to, path string) error {
	a, err := read.open(e, from)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := read.open(e, to)
	if err != nil {
		return err
	}
	defer b.Close()
	m := e.meter("delta")
	base, next, err := signatures(m, a, b)
	if err != nil {
		return err
	}
	m.of(int64(freemap.Total(b.Data())) * freemap.SectorBytes)
	o.Progress = func(s zip.Stats) { m.at(s.DataBytes) }
	out := made{Event: "made", Image: path, Signature: path + ".sig", Delta: true}
	var stats delta.Made
	err = zip.WriteFile(path, time.Time{}, o, func(w io.Writer) (*sig.File, error) {
		stats, err = delta.Make(e.ctx, base, next, w, o)
		return next.Sig, err
	})
	m.end()
	if err != nil {
		return err
	}
	if out.Same = stats.Same; out.Same && !e.json {
		e.printf("%s: the images are identical, the delta is empty\n", path)
		return nil
	}
	return out.done(m, stats.Stats, o)
}

// signatures are those of two disks, of one kind.
func signatures(m *meter, a, b *delta.Chain) (base, next delta.Image, err error) {
	if err = b.Freed(); err != nil {
		return base, next, err
	}
	base.Disk, next.Disk = a.Disk, b.Disk
	if base.Sig, err = a.Signature(m.e.ctx); err != nil {
		return base, next, err
	}
	next.Sig, err = b.Signature(m.e.ctx)
	if err == nil && (next.Sig.Type != base.Sig.Type || next.Sig.BlockSectors != base.Sig.BlockSectors) {
		next.Sig, err = delta.Sign(m.e.ctx, b.Disk, base.Sig.Type, base.Sig.BlockSectors)
	}
	return base, next, err
}

func imageRebase(e *env, args []string) error {
	fs, address := e.flags("image rebase")
	read, format := readFlags{}, formatFlags{}
	read.add(fs)
	format.add(fs)
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	o := zip.Options{}
	if err := format.options(&o); err != nil {
		return err
	}
	switch len(rest) {
	case 2:
		return flatten(e, read, o, rest[0], rest[1])
	case 3:
		return makeDelta(e, read, o, rest[1], rest[0], rest[2])
	}
	return badUsage("want an image with its deltas, perhaps another base, and a name")
}

// flatten makes a chain one full image.
func flatten(e *env, read readFlags, o zip.Options, from, path string) error {
	chain, err := read.open(e, from)
	if err != nil {
		return err
	}
	defer chain.Close()
	if err := chain.Freed(); err != nil {
		return err
	}
	return merge(e, "rebase", chain, o, path)
}

// merge writes one image of a chain. A delta alone stays one.
func merge(e *env, what string, chain *delta.Chain, o zip.Options, path string) error {
	m := e.meter(what)
	m.of(int64(freemap.Total(chain.Data())) * freemap.SectorBytes)
	o.Progress = func(s zip.Stats) { m.at(s.DataBytes) }
	out := made{Event: "made", Image: path, Signature: path + ".sig"}
	out.Delta = len(chain.Files) == 1 && chain.Summary().Mark.Delta
	o.Signature = &sig.File{}
	if out.Delta {
		// The signature of a delta is of the whole disk, which is not here.
		o.Signature = nil
	}
	var stats zip.Stats
	err := zip.WriteFile(path, time.Time{}, o, func(w io.Writer) (s *sig.File, err error) {
		if stats, err = delta.Merge(e.ctx, chain.Disk, nil, w, o); err != nil || !out.Delta {
			return o.Signature, err
		}
		if s, err = chain.Stored(); s == nil {
			out.Signature = ""
		}
		return s, err
	})
	m.end()
	if err != nil {
		return err
	}
	return out.done(m, stats, o)
}
