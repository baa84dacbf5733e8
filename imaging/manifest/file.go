package manifest

import (
	"io"
	"os"
)

// ReadFile reads the manifest at path, without verifying its signature.
func ReadFile(path string) (*Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, BytesMax+1))
	if err != nil {
		return nil, err
	}
	return Decode(text)
}
