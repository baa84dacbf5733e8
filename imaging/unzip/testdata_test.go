package unzip_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"hyzer/imaging/unzip"
)

// TestTestdata restores the few golden images that are kept here, so that
// something is held against the C program without the shared specs.
func TestTestdata(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{ // the sum with zero-fill, or "" for a broken image
		"lilo-slice1":        "cbcc8e847c0e71e35acc6e34346a69c4461f5a2a3115c3c7fa2cedbaec5cfc79",
		"swap":               "c9d7f0dec2ee345205dd2a618f484872bb6322f7fae83f0f944f07c09ba2cf77",
		"bad-adler":          "",
		"trunc-second-chunk": "",
	} {
		f, err := os.Open("testdata/" + name + ".ndz.gz")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		image, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		_, err = unzip.Stream(context.Background(), bytes.NewReader(image), &out, unzip.Options{})
		switch {
		case want == "" && err == nil:
			t.Errorf("%s: no error", name)
		case want != "" && (err != nil || sum(out.Bytes()) != want):
			t.Errorf("%s: %v, sum %s, want %s", name, err, sum(out.Bytes()), want)
		}
	}
}

// newNoise is a disk of what does not compress.
func newNoise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{11}).Read(b)
	return b
}
