package main

import (
	"errors"
	"fmt"
	"io"
	"math"

	"hyzer/imaging/delta"
	"hyzer/imaging/freemap"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/view"
)

// restored is what a restore tells with --json.
type restored struct {
	Event        string  `json:"event"` // "restored"
	Target       string  `json:"target"`
	Images       int     `json:"images"`
	Chunks       int     `json:"chunks"`
	WrittenBytes int64   `json:"written_bytes"`
	ZeroedBytes  int64   `json:"zeroed_bytes"`
	KeptBytes    int64   `json:"kept_bytes"`
	Seconds      float64 `json:"seconds"`
}

// restore is one run of the verb.
type restore struct {
	e      *env
	m      *meter
	read   readFlags
	part   int
	zero   bool
	resume bool
	base   string

	opts  unzip.Options
	files []*view.File
	lists []*manifest.Manifest // of the files, nil where there is none
	out   restored
	done  int64           // bytes of the images before
	freed []freemap.Range // by the deltas
}

func imageRestore(e *env, args []string) error {
	r := &restore{e: e}
	fs, address := e.flags("image restore")
	r.read.add(fs)
	r.read.addPublisher(fs)
	fs.IntVar(&r.part, "part", 0, "restore into this `partition` of the disk")
	fs.BoolVar(&r.zero, "zero", false, "zero free space of a device; a file is always as the disk was")
	fs.BoolVar(&r.resume, "resume", false, "write only what is not there already, by the signature beside the last image or, without it, by its data")
	fs.StringVar(&r.base, "base", "", "the signature `file` of what is on the target, for a delta")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return badUsage("want an image and a disk")
	}
	paths := chainPaths(rest[0])
	if r.part < 0 {
		return badUsage("--part %d: want the number of a partition", r.part)
	}
	if r.opts.Decode, err = r.read.decode(); err != nil {
		return err
	}
	if r.base != "" {
		if r.opts.Base, err = sig.ReadFile(r.base); err != nil {
			return err
		}
	}
	r.start(e)
	defer r.m.end()
	if err := r.run(paths, rest[1]); err != nil {
		return err
	}
	return r.report(rest[1])
}

// start gets the terminal.
func (r *restore) start(e *env) {
	r.m = e.meter("restore")
	r.opts.Warn = r.m.warn
}

func (r *restore) report(path string) error {
	return r.m.done(r.out, "%s: %s written, %s zeroed, %s kept, in %s", path, size(r.out.WrittenBytes), size(r.out.ZeroedBytes), size(r.out.KeptBytes), r.m.took())
}

// restoreTo makes a file of the disk that an image is of.
func restoreTo(e *env, read readFlags, image, path string) (*restore, error) {
	r := &restore{e: e, read: read}
	var err error
	if r.opts.Decode, err = read.decode(); err != nil {
		return nil, err
	}
	r.start(e)
	defer r.m.end()
	return r, r.run(chainPaths(image), path)
}

func (r *restore) run(paths []string, path string) error {
	key, err := r.read.publicKey()
	if err != nil {
		return err
	}
	total := int64(0)
	for _, p := range paths {
		f, err := view.OpenFile(p, view.Options{Decode: r.opts.Decode})
		if err != nil {
			return err
		}
		defer f.Close()
		list, err := manifestOf(p, f.Info.Size(), key)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		r.files, r.lists = append(r.files, f), append(r.lists, list)
		total += f.Summary().DataBytes
	}
	r.m.of(total)
	if err := r.prove(paths); err != nil {
		return err
	}
	target, err := unzip.OpenTarget(path)
	if err != nil {
		return err
	}
	defer target.Close()
	for _, f := range r.files {
		if err := target.Apart(f.Info); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if err := r.prepare(target); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := r.checkBase(target); err != nil {
		return fmt.Errorf("%s on %s: %w", paths[0], path, err)
	}
	if err := r.keep(paths, target); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for i := range r.files {
		if err := r.image(target, i); err != nil {
			return fmt.Errorf("%s to %s: %w", r.files[i].Path, path, err)
		}
	}
	if err := r.zeroFreed(target); err != nil {
		return fmt.Errorf("%s: zeroing what the deltas freed: %w", path, err)
	}
	r.out.Event, r.out.Target, r.out.Images, r.out.Seconds = "restored", path, len(paths), r.m.took().Seconds()
	return nil
}

// prove makes sure that the images go on top of each other, before anything is
// written. What is below the first, if that is a delta, is proved by the
// restore of it.
func (r *restore) prove(paths []string) error {
	if first := r.files[0].Mark(); first.Delta && r.base == "" && !r.read.anyBase {
		return fmt.Errorf("%s %w, or the signature of what is on the target: --base FILE (--any-base restores it over anything)", paths[0], view.ErrNoBase)
	}
	if r.read.anyBase {
		return nil
	}
	if !r.files[0].Mark().Delta {
		return r.proveChain(paths)
	}
	for i := 1; i < len(paths); i++ {
		if m := r.files[i].Mark(); m.Delta && m.Base != r.files[i-1].Mark().State {
			return fmt.Errorf("%s on %s: %w", paths[i], paths[i-1], view.ErrWrongBase)
		}
	}
	return nil
}

// proveChain opens a full image with its deltas, and finds out what the deltas
// freed, if the signature of the last tells.
func (r *restore) proveChain(paths []string) error {
	chain, err := delta.OpenChain(r.e.ctx, paths, delta.ChainOptions{View: view.Options{Decode: r.opts.Decode}})
	if err != nil {
		return err
	}
	defer chain.Close()
	all := chain.Data()
	if err := chain.Freed(); err != nil {
		return err
	}
	r.freed = freemap.Subtract(all, chain.Data())
	return nil
}

// keep finds what the target has already, with --resume: by the signature beside
// the image on top, or by one made of the data.
func (r *restore) keep(paths []string, t *unzip.FileTarget) error {
	if !r.resume {
		return nil
	}
	opts := delta.ChainOptions{View: view.Options{Decode: r.opts.Decode}, AnyBase: r.read.anyBase || r.base != ""}
	chain, err := delta.OpenChain(r.e.ctx, paths, opts)
	if err != nil {
		return err
	}
	defer chain.Close()
	if err := chain.Freed(); err != nil {
		return err
	}
	s, err := chain.Signature(r.e.ctx)
	if err == nil {
		r.opts.Keep, err = unzip.Kept(r.e.ctx, t, r.opts.Decode.Placement, s, chain, 0)
	}
	return err
}

// zeroFreed zeroes what deltas freed, as the free space of the first image was:
// as far as the partition or the device reaches.
func (r *restore) zeroFreed(t *unzip.FileTarget) error {
	if !r.opts.ZeroFill || len(r.freed) == 0 {
		return nil
	}
	room := freemap.Range{End: math.MaxUint64}
	p := r.opts.Decode.Placement
	if p.InPartition() {
		room.End = p.Size
	} else if size := t.SizeBytes(); size >= 0 {
		room.End = uint64(size) / ndz.SectorBytes
	}
	for _, f := range freemap.Shift(freemap.Intersect(r.freed, []freemap.Range{room}), p.Start) {
		if err := t.Zero(int64(f.Start)*ndz.SectorBytes, int64(f.Sectors())*ndz.SectorBytes); err != nil {
			return err
		}
		r.out.ZeroedBytes += int64(f.Sectors()) * ndz.SectorBytes
	}
	return t.Finish(0)
}

// checkBase holds the target against the base of a delta without a mark, which
// the restore knows nothing of.
func (r *restore) checkBase(t *unzip.FileTarget) error {
	if r.opts.Base == nil || r.files[0].Mark().Delta {
		return nil
	}
	at := int64(r.opts.Decode.Placement.Start) * ndz.SectorBytes
	bad, err := sig.Check(r.e.ctx, io.NewSectionReader(t, at, 1<<62), r.opts.Base, 0, nil)
	if err == nil && bad.Bad > 0 {
		err = fmt.Errorf("%w: %d of %d blocks differ", view.ErrWrongBase, bad.Bad, bad.Records)
	}
	return err
}

// prepare makes the target ready for the first image.
func (r *restore) prepare(t *unzip.FileTarget) error {
	if r.part > 0 {
		p, err := unzip.FindPartition(t, r.part)
		if err != nil {
			return err
		}
		r.opts.Decode.Placement = ndz.Placement{Start: p.Start, Size: p.Sectors}
		r.opts.ZeroFill = r.zero
		return t.Claim(&p)
	}
	if err := t.Claim(nil); err != nil {
		return err
	}
	if err := unzip.CheckSectorSize(r.files[0].Image, t); err != nil {
		return err
	}
	// Deltas of the old programs have no mark: only the flags tell what they are.
	delta := r.files[0].Mark().Delta || r.base != "" || r.read.anyBase && len(r.files) == 1
	if delta && r.zero {
		return unzip.ErrDeltaZeroFill
	}
	r.opts.ZeroFill = !delta && (r.zero || !t.Device())
	switch {
	case t.Device() || delta:
		return nil
	case r.resume:
		return t.Shorten(r.files[len(r.files)-1].Summary().EndBytes)
	}
	return t.Truncate()
}

// image restores image i over those before it.
func (r *restore) image(t *unzip.FileTarget, i int) error {
	opts := r.opts
	opts.AnyBase = r.read.anyBase || i > 0 // the others were proved
	opts.ZeroFill = opts.ZeroFill && i == 0
	opts.Manifest = r.lists[i]
	opts.Progress = func(p unzip.Progress) { r.m.at(r.done + p.WrittenBytes + p.KeptBytes) }
	s, err := unzip.File(r.e.ctx, r.files[i].Source(), r.files[i].Info.Size(), t, opts)
	if errors.Is(err, unzip.ErrDeltaZeroFill) {
		err = fmt.Errorf("%w; leave out --zero", err)
	}
	r.done += s.WrittenBytes + s.KeptBytes
	r.out.Chunks += s.Chunks
	r.out.WrittenBytes += s.WrittenBytes
	r.out.ZeroedBytes += s.ZeroedBytes
	r.out.KeptBytes += s.KeptBytes
	return err
}
