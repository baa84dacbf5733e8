package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"hyzer/imaging/manifest"
)

// ManifestPath is where the manifest of an image lies.
func ManifestPath(image string) string { return image + manifest.Suffix }

// ImageOfManifest returns the image that a manifest is of, by its path; false:
// it is no manifest's path.
func ImageOfManifest(path string) (string, bool) { return strings.CutSuffix(path, manifest.Suffix) }

// ReadManifest returns the manifest that lies beside an image, at path with
// manifest.Suffix, empty if there is none. One that is of another image, as
// while a new version is being put in place, is an error: a few chunks of the
// image are held against it.
func ReadManifest(path string, image Image) ([]byte, error) {
	f, err := os.Open(ManifestPath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, manifest.BytesMax+1))
	if err != nil {
		return nil, err
	}
	m, err := manifest.Decode(text)
	if err == nil {
		err = m.CheckSize(image.Size())
	}
	if err == nil {
		err = sample(m, image)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is not of %s: %w", f.Name(), image.Name(), err)
	}
	return text, nil
}

// sample checks the first chunk, one in the middle and the last.
func sample(m *manifest.Manifest, image Image) error {
	n := len(m.Chunks)
	for _, chunk := range []int{0, n / 2, n - 1} {
		at := int64(chunk) * manifest.ChunkBytes
		data := make([]byte, min(manifest.ChunkBytes, image.Size()-at))
		if _, err := image.ReadAt(data, at); err != nil {
			return err
		}
		if err := m.CheckChunk(chunk, data); err != nil {
			return err
		}
	}
	return nil
}
