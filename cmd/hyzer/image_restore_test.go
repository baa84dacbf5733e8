package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
)

// TestZeroFreed zeroes what deltas freed of an image that is longer than the
// partition it goes into: what comes after that is another's.
func TestZeroFreed(t *testing.T) {
	t.Parallel()
	const sectors, start, size = 8000, 1000, 2000
	path := filepath.Join(t.TempDir(), "disk")
	want := bytes.Repeat([]byte{0xa5}, sectors*ndz.SectorBytes)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	target, err := unzip.OpenTarget(path)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	r := restore{freed: []freemap.Range{{Start: 100, End: 200}, {Start: 1900, End: 2500}, {Start: 3000, End: 4000}}}
	r.opts.ZeroFill = true
	r.opts.Decode.Placement = ndz.Placement{Start: start, Size: size}
	if err := r.zeroFreed(target); err != nil {
		t.Fatal(err)
	}
	clear(want[(start+100)*ndz.SectorBytes : (start+200)*ndz.SectorBytes])
	clear(want[(start+1900)*ndz.SectorBytes : (start+size)*ndz.SectorBytes])
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the disk is not what it was outside of what was freed, %v", err)
	}
	if r.out.ZeroedBytes != 200*ndz.SectorBytes {
		t.Errorf("%d bytes zeroed", r.out.ZeroedBytes)
	}
}
