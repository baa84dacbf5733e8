package fuzz

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"hyzer/imaging/extfs"
)

// FuzzExtFiles reads all files of a file system: it must come to an end, and
// give no more than it says a file has.
func FuzzExtFiles(f *testing.F) {
	const volumeBytes, fileBytesMax, filesMax = 200 << 10, 1 << 20, 2000
	for _, name := range []string{"ext2", "ext4"} {
		packed, err := os.ReadFile("../imaging/extfs/testdata/" + name + ".gz")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.TrimRight(ndzGunzip(f, packed), "\x00"))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		x, err := extfs.Open(volume{head, volumeBytes}, volumeBytes)
		if err != nil {
			return
		}
		root, err := x.Lookup("/", true)
		if err != nil {
			return
		}
		files, enough := 0, errors.New("enough")
		_ = x.Walk("", root, func(name string, i *extfs.Inode, err error) error {
			if files++; files > filesMax {
				return enough
			}
			if err != nil {
				return nil
			}
			_, _ = x.ReadLink(i)
			if files < 20 {
				_, _ = x.Lookup(name, true)
			}
			c, err := x.Open(i)
			if err != nil {
				return nil
			}
			p := make([]byte, min(c.Size(), fileBytesMax)+1)
			if n, err := c.ReadAt(p, max(0, c.Size()-fileBytesMax)); int64(n) > c.Size() || n < len(p) && err == nil {
				t.Fatalf("%s: %d bytes of %d, %v", name, n, c.Size(), err)
			}
			if n, err := c.ReadAt(p, c.Size()); n != 0 || err != io.EOF {
				t.Fatalf("%s: %d bytes past the end, %v", name, n, err)
			}
			return nil
		})
	})
}
