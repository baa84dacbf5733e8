package zip_test

import (
	"context"
	"io"
	"testing"

	"hyzer/imaging/sig"
	"hyzer/imaging/zip"
)

// BenchmarkCreate makes an image of mixed data, with a signature.
func BenchmarkCreate(b *testing.B) {
	img := noise(32<<20, 31)
	b.SetBytes(int64(len(img)))
	b.ReportAllocs()
	for b.Loop() {
		_, err := zip.Create(context.Background(), source(img), io.Discard, zip.Options{Raw: true, Signature: &sig.File{}})
		if err != nil {
			b.Fatal(err)
		}
	}
}
