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
		again, err := sig.Parse(file.AppendTo(nil))
		if err != nil || len(again.Records) != len(file.Records) {
			t.Fatalf("does not come back: %v", err)
		}
		if !bytes.Equal(again.AppendTo(nil), file.AppendTo(nil)) {
			t.Fatal("comes back different")
		}
	})
}
