package server

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"hyzer/imaging/manifest"
)

// TestReadManifest: one of another image is not sent, one that is not there is
// not missed.
func TestReadManifest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "image")
	content := bytes.Repeat([]byte{1}, 5<<20+1)
	write := func(name string, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, content)
	list := func(content []byte) []byte {
		m, err := manifest.Build(bytes.NewReader(content), manifest.Identity{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	image, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if b, err := ReadManifest(path, image); err != nil || b != nil {
		t.Errorf("without a manifest: %d bytes, %v", len(b), err)
	}
	for name, c := range map[string]struct {
		text []byte
		ok   bool
	}{
		"right": {list(content), true}, "other size": {list(content[1:]), false}, "other content": {list(make([]byte, len(content))), false}, "junk": {[]byte("junk"), false},
	} {
		write(path+manifest.Suffix, c.text)
		if b, err := ReadManifest(path, image); (err == nil) != c.ok || c.ok && !bytes.Equal(b, c.text) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
}
