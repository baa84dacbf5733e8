package main

import (
	"flag"
	"fmt"

	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/v5"
	"hyzer/imaging/zip"
)

// formatFlags say what an image that is written is like.
type formatFlags struct {
	five       bool
	sector     int
	level      int
	encrypt    string
	noManifest bool
	sign       string
}

func (f *formatFlags) add(fs *flag.FlagSet) {
	fs.BoolVar(&f.five, "v5", false, "write version 5: smaller and quicker, for disks of any size; old loaders do not know it")
	fs.IntVar(&f.sector, "sector-size", 0, "`bytes` of the disk's sectors, if it is a file (as its GPT says)")
	fs.IntVar(&f.level, "level", zip.LevelDefault, "how hard to compress, a `number` from 0 to 9")
	fs.StringVar(&f.encrypt, "encrypt", "", "encrypt with the key in this `file` (.ekey; version 4)")
	fs.BoolVar(&f.noManifest, "no-manifest", false, "make no manifest, NAME.manifest")
	fs.StringVar(&f.sign, "sign", "", "sign the manifest with the Ed25519 private key in this `file` (PEM)")
}

// options adds what the flags say to the options of an image.
func (f *formatFlags) options(o *zip.Options) error {
	switch {
	case f.level < 0 || f.level > 9:
		return badUsage("--level %d: want 0 to 9", f.level)
	case f.sector != 0 && (f.sector < v5.SectorBytesMin || f.sector > v5.SectorBytesMax || f.sector&(f.sector-1) != 0):
		return badUsage("--sector-size %d: want a power of two from %d to %d", f.sector, v5.SectorBytesMin, v5.SectorBytesMax)
	case f.five && f.encrypt != "":
		return badUsage("--encrypt: version 5 images are not encrypted")
	case f.noManifest && f.sign != "":
		return badUsage("--sign signs the manifest: leave out --no-manifest")
	}
	o.Level, o.SectorBytes = &f.level, f.sector
	if f.five {
		o.Version = ndz.V5
	}
	if !f.noManifest {
		o.Manifest = &manifest.Manifest{}
	}
	if f.sign != "" {
		text, err := readKey(f.sign)
		if err == nil {
			o.ManifestKey, err = manifest.ParsePrivateKey(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.sign, err)
		}
	}
	if f.encrypt == "" {
		return nil
	}
	text, err := readKey(f.encrypt)
	if err == nil {
		o.Key, err = ndz.ParseKey(text)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.encrypt, err)
	}
	return nil
}
