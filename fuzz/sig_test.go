package fuzz

import (
	"bytes"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/sig"
)

// FuzzSignature checks that what parses comes back as it was.
func FuzzSignature(f *testing.F) {
	for _, name := range []string{"mbr.sig.gz", "ext2-1k-z0.Usig.gz", "ext2-1k-z0.md5-4k.sig.gz"} {
		f.Add(ndzGunzip(f, shared.ReadFile(f, "vectors/ndz/"+name)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := sig.Parse(b)
		if err != nil {
			return
		}
		var once, twice bytes.Buffer
		if _, err := file.WriteTo(&once); err != nil {
			t.Fatal(err)
		}
		again, err := sig.Parse(once.Bytes())
		if err != nil || again.Len() != file.Len() || again.ID() != file.ID() {
			t.Fatalf("does not come back: %v", err)
		}
		if _, err := again.WriteTo(&twice); err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) {
			t.Fatalf("comes back different, %v", err)
		}
	})
}
