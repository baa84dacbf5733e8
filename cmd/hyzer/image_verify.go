package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/view"
)

// verified is what `image verify` tells of one image.
type verified struct {
	Event      string   `json:"event"` // "verified"
	Image      string   `json:"image"`
	Chunks     int      `json:"chunks"` // decoded
	DataBytes  int64    `json:"data_bytes"`
	Checksums  bool     `json:"checksums"` // of the chunks were there, and checked
	Manifests  int      `json:"manifests"` // checked
	Signed     bool     `json:"signed"`    // all of them, with the key that was given
	Hashes     int      `json:"hashes"`    // of the signature, checked
	Unverified int      `json:"hashes_beyond,omitempty"`
	Faults     []string `json:"faults"` // empty: all is well
}

func imageVerify(e *env, args []string) error {
	fs, address := e.flags("image verify")
	read := readFlags{}
	read.add(fs)
	read.addPublisher(fs)
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return badUsage("want images")
	}
	key, err := read.publicKey()
	if err != nil {
		return err
	}
	bad := false
	for _, name := range rest {
		faults, err := verifyImage(e, read, key, name)
		if err != nil {
			return err
		}
		bad = bad || faults
	}
	if bad {
		return exitStatus(exitFailed)
	}
	return nil
}

// verifyImage checks the files of one image one by one, each of which is read
// once. Several are then held against the signature of the one on top, as the
// disk that they make together. It tells of the first fault of each kind.
func verifyImage(e *env, read readFlags, key ed25519.PublicKey, name string) (faults bool, err error) {
	paths := chainPaths(name)
	m := e.meter("verify")
	v := verified{Event: "verified", Image: name, Faults: []string{}}
	for _, path := range paths {
		v.file(m, read, key, path, len(paths) == 1)
	}
	v.Signed = key != nil && v.Manifests == len(paths)
	if len(v.Faults) == 0 && len(paths) > 1 {
		v.fault("", v.chain(m, read, name, paths[len(paths)-1]+".sig"))
	}
	m.end()
	if e.ctx.Err() != nil {
		return true, e.ctx.Err()
	}
	if e.json {
		m.line(v)
		return len(v.Faults) > 0, nil
	}
	for _, f := range v.Faults {
		e.printf("%s\n", printable(f))
	}
	if len(v.Faults) == 0 {
		e.printf("%s: %s\n", printable(name), v)
	}
	return len(v.Faults) > 0, nil
}

func (v *verified) fault(where string, err error) {
	if err != nil {
		v.Faults = append(v.Faults, where+err.Error())
	}
}

func (v verified) String() string {
	text := fmt.Sprintf("sound: %d chunks, %s", v.Chunks, size(v.DataBytes))
	if v.Checksums {
		text += ", checksums"
	}
	if v.Manifests > 0 {
		text += ", manifest"
	}
	if v.Signed {
		text += " signed with the key"
	}
	if v.Hashes > 0 {
		text += fmt.Sprintf(", %d hashes of the signature", v.Hashes)
	}
	if v.Unverified > 0 {
		text += fmt.Sprintf(" (%d more are of sectors that it does not hold)", v.Unverified)
	}
	return text
}

// file decodes every chunk of an image file, and holds it against its manifest
// and, if it is alone, its signature.
func (v *verified) file(m *meter, read readFlags, key ed25519.PublicKey, path string, alone bool) {
	where := path + ": "
	f, err := os.Open(path)
	if err != nil {
		v.fault(where, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		v.fault(where, err)
		return
	}
	list, err := manifestOf(path, info.Size(), key)
	v.fault(where, err)
	sum, err := ndz.Info(f, info.Size())
	if err != nil {
		v.fault(where, err)
		return
	}
	m.of(sum.DataBytes)
	c := chunkCheck{manifest: list, m: m}
	if c.opts, err = decodeOptions(read, sum, path); err != nil {
		v.fault(where, err)
		return
	}
	if alone {
		c.checker, err = signatureOf(path, sum.Mark)
		v.fault("", err)
	}
	v.fault(where, c.run(m.e.ctx, f, sum.Chunks))
	v.fault(where, c.listed)
	v.chunks(sum, &c, path)
	for _, note := range sum.Irregular {
		m.warn(path + ": " + note)
	}
}

// chunks counts what was right in an image file.
func (v *verified) chunks(sum ndz.Summary, c *chunkCheck, path string) {
	if len(v.Faults) > 0 {
		return
	}
	v.Chunks += sum.Chunks
	v.DataBytes += sum.DataBytes
	v.Checksums = v.Checksums || c.opts.Checksum
	if c.manifest != nil {
		v.Manifests++
	}
	if c.checker != nil {
		v.signed(path+".sig", c.checker.Checked())
	}
}

// signed takes what a signature says.
func (v *verified) signed(path string, found view.Checked) {
	v.Hashes, v.Unverified = found.Records, found.Beyond
	v.fault(path+": ", found.Fault())
}

// chunkCheck is one pass over an image file.
type chunkCheck struct {
	m        *meter
	opts     ndz.DecodeOptions
	manifest *manifest.Manifest // nil: none
	checker  *view.Checker      // nil: no signature

	mu     sync.Mutex
	done   int64 // bytes of data
	listed error // the first fault against the manifest
}

func (c *chunkCheck) run(ctx context.Context, f io.ReaderAt, chunks int) error {
	workers := runtime.GOMAXPROCS(0)
	if c.checker != nil {
		workers = c.checker.Workers(workers)
	}
	return ndz.EachChunk(ctx, f, chunks, workers, func() (ndz.ChunkFunc, error) {
		d, err := ndz.NewDecoder(c.opts)
		return func(_ context.Context, i int, chunk []byte) error { return c.chunk(d, i, chunk) }, err
	})
}

func (c *chunkCheck) chunk(d *ndz.Decoder, i int, chunk []byte) error {
	var listed error
	if c.manifest != nil {
		listed = c.manifest.CheckChunk(i, chunk)
	}
	h, err := d.Decode(chunk)
	if err != nil {
		err = ndz.InChunk(err, i)
	} else if c.checker != nil {
		err = c.checker.Chunk(h, d)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listed == nil {
		c.listed = listed
	}
	if err == nil {
		c.done += h.DataBytes()
		c.m.at(c.done)
	}
	return err
}

// signatureOf returns what holds the chunks of an image against its signature,
// nil if it has none.
func signatureOf(path string, mark ndz.Mark) (*view.Checker, error) {
	path += ".sig"
	s, err := sig.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if state := mark.State; !state.IsZero() && state != s.ID() && !mark.Delta {
		return nil, fmt.Errorf("%s is of state %s, the image makes %s", path, s.ID(), state)
	}
	return view.NewChecker(s), nil
}

// decodeOptions has every checksum checked that is there, and that relocations
// can be done. The key of signed checksums is beside the image, if it is not
// given.
func decodeOptions(read readFlags, sum ndz.Summary, path string) (ndz.DecodeOptions, error) {
	opts, err := read.decode()
	if err != nil {
		return opts, err
	}
	opts.AsStored, opts.Relocatable, opts.Checksum = true, true, sum.Checksum != ndz.ChecksumNone
	if sum.Checksum == ndz.ChecksumSignedSHA1 && opts.SigningKey == nil {
		text, err := readKey(path + ".skey")
		if err == nil {
			opts.SigningKey, err = ndz.ParseSigningKey(text)
		}
		if err != nil {
			return opts, fmt.Errorf("checksums are signed: give --signing-key: %w", err)
		}
	}
	return opts, nil
}

// chain holds the disk that several images make against the signature of the
// one on top, if it has one.
func (v *verified) chain(m *meter, read readFlags, name, path string) error {
	s, err := sig.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	chain, err := read.open(m.e, name)
	if err != nil {
		return err
	}
	defer chain.Close()
	if err := chain.Freed(); err != nil {
		return err
	}
	found, err := chain.Check(m.e.ctx, s)
	if err == nil {
		v.signed(path, found)
	}
	return err
}
