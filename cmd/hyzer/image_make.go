package main

import (
	"fmt"

	"hyzer/imaging/freemap"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/zip"
)

// made is what a verb that writes an image tells with --json.
type made struct {
	Event     string  `json:"event"` // "made"
	Image     string  `json:"image"`
	Version   int     `json:"version"`
	Chunks    int     `json:"chunks"`
	Bytes     int64   `json:"bytes"`
	DataBytes int64   `json:"data_bytes"`
	FreeBytes int64   `json:"free_bytes"`
	Signature string  `json:"signature,omitempty"`
	Manifest  string  `json:"manifest,omitempty"`
	Delta     bool    `json:"delta"`
	Same      bool    `json:"same,omitempty"` // a delta of nothing
	Seconds   float64 `json:"seconds"`
}

func imageMake(e *env, args []string) error {
	fs, address := e.flags("image make")
	o := zip.Options{}
	fs.IntVar(&o.Slice, "part", 0, "image only this `partition`")
	fs.BoolVar(&o.Raw, "raw", false, "keep all bytes, look for no free space")
	patient := fs.Bool("skip-errors", false, "store sectors that cannot be read as zeros")
	base := fs.String("base", "", "make a delta on top of what this signature `file` is of")
	noSig := fs.Bool("no-signature", false, "make no signature, IMAGE.sig")
	format := formatFlags{}
	format.add(fs)
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return badUsage("want a disk and an image")
	}
	if o.Slice < 0 || o.Raw && o.Slice > 0 {
		return badUsage("--part: want the number of a partition, not with --raw")
	}
	if err := format.options(&o); err != nil {
		return err
	}
	if *base != "" {
		if o.Base, err = sig.ReadFile(*base); err != nil {
			return err
		}
	}
	src, closer, err := zip.OpenSource(rest[0])
	if err != nil {
		return err
	}
	defer closer.Close()
	m := e.meter("make")
	o.Warn = m.warn
	if *patient {
		src = zip.Patient(src, m.warn)
	}
	if err := makeImage(m, src, rest[1], o, *noSig); err != nil {
		return fmt.Errorf("%s: %w", rest[0], err)
	}
	return nil
}

// makeImage writes the image and its signature.
func makeImage(m *meter, src zip.Source, path string, o zip.Options, noSig bool) error {
	out := made{Event: "made", Image: path}
	if !noSig {
		o.Signature = &sig.File{}
		out.Signature = path + ".sig"
	}
	o.Chosen = func(l *zip.Layout) {
		m.of(int64(freemap.Total(l.Data)) * freemap.SectorBytes)
		out.Delta = l.Delta
	}
	o.Progress = func(s zip.Stats) { m.at(s.DataBytes) }
	stats, err := zip.CreateFile(m.e.ctx, src, path, out.Signature, o)
	m.end()
	if err != nil {
		return err
	}
	return out.done(m, stats, o)
}

// done fills in and prints what was made.
func (out made) done(m *meter, s zip.Stats, o zip.Options) error {
	out.Version, out.Chunks, out.Bytes, out.DataBytes, out.FreeBytes = int(versionOf(o)), s.Chunks, s.ImageBytes, s.DataBytes, s.FreeBytes
	out.Seconds = m.took().Seconds()
	if o.Manifest != nil {
		out.Manifest = out.Image + manifest.Suffix
	}
	return m.done(out, "%s: %d chunks, %s of %s in use, %s left out, in %s", out.Image, out.Chunks, size(out.Bytes), size(out.DataBytes), size(out.FreeBytes), m.took())
}

// versionOf is the version that zip writes with these options.
func versionOf(o zip.Options) ndz.Version {
	switch {
	case o.Version != 0:
		return o.Version
	case o.Key != nil || o.Checksum:
		return ndz.V4
	}
	return ndz.V3
}
