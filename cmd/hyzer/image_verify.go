package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
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
	publisher := fs.String("public-key", "", "`file` with the Ed25519 public key that manifests must be signed with (PEM or hex)")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return badUsage("want images")
	}
	var key ed25519.PublicKey
	if *publisher != "" {
		text, err := readKey(*publisher)
		if err == nil {
			key, err = manifest.ParsePublicKey(text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", *publisher, err)
		}
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

// verifyImage checks the files of one image one by one, and then all of it
// against the signature of the one on top. It tells of every fault that it
// finds.
func verifyImage(e *env, read readFlags, key ed25519.PublicKey, name string) (faults bool, err error) {
	paths := chainPaths(name)
	m := e.meter("verify")
	v := verified{Event: "verified", Image: name, Faults: []string{}}
	for _, path := range paths {
		v.fault(path+": ", v.file(m, read, path))
		v.fault(path+": ", v.manifest(m, key, path))
	}
	v.Signed = key != nil && v.Manifests == len(paths)
	if len(v.Faults) == 0 {
		v.fault("", v.signature(m, read, name, paths[len(paths)-1]+".sig"))
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

// manifest holds an image file against its manifest, if it has one. With a key
// it must have one, signed with it.
func (v *verified) manifest(m *meter, key ed25519.PublicKey, path string) error {
	list, err := readManifest(path)
	if errors.Is(err, os.ErrNotExist) && key == nil {
		return nil
	}
	if err == nil && key != nil {
		err = list.Verify(key)
	}
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = list.CheckSize(info.Size())
	}
	buf := make([]byte, manifest.ChunkBytes)
	for i := 0; err == nil && i < len(list.Chunks); i++ {
		if err = m.e.ctx.Err(); err != nil {
			break
		}
		var n int
		if n, err = f.ReadAt(buf, int64(i)*manifest.ChunkBytes); err == io.EOF {
			err = nil
		}
		if err == nil {
			err = list.CheckChunk(i, buf[:n])
		}
	}
	if err == nil {
		v.Manifests++
	}
	return err
}

// readManifest reads the manifest of an image file.
func readManifest(image string) (*manifest.Manifest, error) {
	text, err := readLimited(image+manifest.Suffix, manifest.BytesMax)
	if err != nil {
		return nil, err
	}
	return manifest.Decode(text)
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

// file decodes every chunk of an image file.
func (v *verified) file(m *meter, read readFlags, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	sum, err := ndz.Info(f, info.Size())
	if err != nil {
		return err
	}
	m.of(sum.DataBytes)
	opts, err := decodeOptions(read, sum, path)
	if err != nil {
		return err
	}
	// Progress comes from the goroutines that decode.
	done := make(chan int64, sum.Chunks)
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		total := int64(0)
		for n := range done {
			total += n
			m.at(total)
		}
	}()
	err = ndz.Each(m.e.ctx, f, sum.Chunks, runtime.GOMAXPROCS(0), opts, func(_ int, h *ndz.Header, _ *ndz.Decoder) error {
		done <- h.DataBytes()
		return nil
	})
	close(done)
	<-finished
	if err != nil {
		return err
	}
	v.Chunks += sum.Chunks
	v.DataBytes += sum.DataBytes
	v.Checksums = v.Checksums || opts.Checksum
	for _, note := range sum.Irregular {
		m.warn(path + ": " + note)
	}
	return nil
}

// decodeOptions has every checksum checked that is there. The key of signed
// ones is beside the image, if it is not given.
func decodeOptions(read readFlags, sum ndz.Summary, path string) (ndz.DecodeOptions, error) {
	opts, err := read.decode()
	if err != nil {
		return opts, err
	}
	opts.AsStored, opts.Checksum = true, sum.Checksum != ndz.ChecksumNone
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

// signature holds the image against its signature, if it has one.
func (v *verified) signature(m *meter, read readFlags, name, path string) error {
	s, err := sig.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	read.anyBase = read.anyBase || len(chainPaths(name)) == 1 // a delta alone can be checked too
	chain, err := read.open(m.e, name)
	if err != nil {
		return err
	}
	defer chain.Close()
	if err := chain.Freed(); err != nil {
		return err
	}
	top := chain.Files[len(chain.Files)-1]
	if state := top.Mark().State; !state.IsZero() && state != s.ID() && !top.Mark().Delta {
		return fmt.Errorf("%s is of state %s, the image makes %s", path, s.ID(), state)
	}
	checked, err := chain.Check(m.e.ctx, s)
	if err != nil {
		return err
	}
	v.Hashes, v.Unverified = checked.Records, checked.Beyond
	if err := checked.Fault(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
