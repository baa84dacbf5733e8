package unzip_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
)

// malformed says for every broken image what the error must name. An empty
// text is an image that is odd, but whose data is beyond doubt.
var malformed = map[string]string{
	"good":                  "",
	"v2-ok":                 "",
	"reloc-bad-type":        "",
	"wrong-index":           "",
	"regionsize-other":      "",
	"trunc-mid-data":        "chunk 0, offset 6096: image of 6096 bytes ends inside a chunk",
	"trunc-second-chunk":    "chunk 1, offset 70000: image of 1118576 bytes ends inside a chunk",
	"trunc-header":          "chunk 0, offset 100: image of 100 bytes ends inside a chunk",
	"empty":                 "chunk 0, offset 0: image is empty",
	"trailing-junk":         "chunk 1, offset 1000: image of 1049576 bytes ends inside a chunk",
	"bad-magic":             "chunk 0, offset 0: bad magic",
	"magic-v5":              "chunk 0, offset 40: head is damaged",
	"big-endian-magic":      "chunk 0, offset 0: bad magic 0x6b696969: byte-swapped",
	"size-beyond-chunk":     "chunk 0, offset 4: payload of 2147483647 bytes",
	"size-zero":             "chunk 0, offset 4: payload of 0 bytes",
	"size-short":            "compressed stream ends before the 32768 bytes",
	"size-long":             "100 bytes of payload after the compressed stream",
	"region-zero-count":     "chunk 0, offset 20: 0 regions",
	"region-count-huge":     "chunk 0, offset 20: 100000 regions",
	"region-count-negative": "chunk 0, offset 20: -1 regions",
	"region-outside-disk":   "target of 8388608 bytes is too small",
	"region-4g":             "past the last one of 32 bits",
	"region-overlap":        "chunk 0, offset 44: region 1 at sector",
	"region-unsorted":       "chunk 0, offset 44: region 1 at sector",
	"region-size-zero":      "chunk 0, offset 44: region 1 is empty",
	"chunk-overlap":         "chunk 1, offset 24: covers sectors from 0 that chunks before it cover",
	"region-more-than-data": "compressed stream ends before the 65536 bytes",
	"region-less-than-data": "compressed stream is longer than the 16384 bytes",
	"zlib-bomb":             "compressed stream is longer than the 32768 bytes",
	"corrupt-stream":        "compressed stream",
	"bad-adler":             "compressed stream is damaged",
	"reloc-count-huge":      "chunk 0, offset 32: 1000000 relocations",
	"v4-mixed-uuid":         "chunk 1, offset 328: chunk of another image",
}

const malformedDiskBytes = 16384 * ndz.SectorBytes

// TestMalformed restores the broken images by every way in. None may write
// anything before it fails.
func TestMalformed(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, e := range manifest(t) {
		name, ok := strings.CutPrefix(strings.TrimSuffix(e.File, ".ndz.gz"), "malformed/")
		if !ok {
			continue
		}
		want, ok := malformed[name]
		if !ok {
			t.Errorf("no expectation for %s", name)
		}
		seen++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image := golden(t, e.File)
			d := newDisk(malformedDiskBytes)
			_, err := unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), d, unzip.Options{Workers: 2})
			checkMalformed(t, "File", err, want)
			if err != nil && !bytes.Equal(d.data, newDisk(malformedDiskBytes).data) {
				t.Error("a broken image was written to the disk")
			}
			streamed(t, name, image, want)
		})
	}
	if seen != len(malformed) {
		t.Errorf("%d broken images in the manifest, want %d", seen, len(malformed))
	}
}

func checkMalformed(t *testing.T, how string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", how, err)
	case want != "" && err == nil:
		t.Errorf("%s: no error, want %q", how, want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("%s: error %q, want %q", how, err, want)
	}
}

// streamed restores as a pipe would, where the size shows only at the end.
func streamed(t *testing.T, name string, image []byte, want string) {
	if name == "region-outside-disk" {
		want = "" // a stream has no size
	}
	if strings.Contains(want, "image of") && strings.Contains(want, "ends inside") {
		want = "image ends inside a chunk"
	}
	var out limitedWriter
	_, err := unzip.Stream(context.Background(), bytes.NewReader(image), &out, unzip.Options{Workers: 2})
	checkMalformed(t, "Stream", err, want)
}

// limitedWriter swallows what is written to it.
type limitedWriter struct{ n int64 }

func (w *limitedWriter) Write(p []byte) (int, error) { w.n += int64(len(p)); return len(p), nil }
