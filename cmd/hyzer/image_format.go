package main

import (
	"flag"
	"fmt"

	"hyzer/imaging/ndz"
	"hyzer/imaging/zip"
)

// formatFlags say what an image that is written is like.
type formatFlags struct {
	level   int
	encrypt string
}

func (f *formatFlags) add(fs *flag.FlagSet) {
	fs.IntVar(&f.level, "level", zip.LevelDefault, "compress so `hard`, 0 to 9")
	fs.StringVar(&f.encrypt, "encrypt", "", "encrypt with the key in this `file` (.ekey; version 4)")
}

// options adds what the flags say to the options of an image.
func (f *formatFlags) options(o *zip.Options) error {
	if f.level < 0 || f.level > 9 {
		return badUsage("--level %d: want 0 to 9", f.level)
	}
	o.Level = &f.level
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
