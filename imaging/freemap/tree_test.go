package freemap_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"hyzer/bench/tools"
)

const treeFiles = 150

// tree makes a folder of files of many sizes.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, treeFiles, 17)
	return dir
}

// writeFiles writes n files of up to 2^logBytesMax bytes.
func writeFiles(t *testing.T, dir string, n, logBytesMax int) {
	t.Helper()
	r := rand.New(rand.NewPCG(11, 12))
	for i := range n {
		sub := filepath.Join(dir, fmt.Sprintf("d%d", i%7))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		data := make([]byte, r.IntN(1<<r.IntN(logBytesMax+1)+1))
		for k := range data {
			data[k] = byte(r.Uint32())
		}
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprintf("f%d", i)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// fragment fills the mounted file system at root, and removes every other file
// so that its free space is in many pieces. It returns how many are left.
func fragment(t *testing.T, root string, files, logBytesMax int) int {
	t.Helper()
	writeFiles(t, root, files, logBytesMax)
	tools.Run(t, tools.Find(t, "sync", "coreutils"), "-f", root) // so that all have their place
	for i := 0; i < files; i += 2 {
		if err := os.Remove(filepath.Join(root, fmt.Sprintf("d%d/f%d", i%7, i))); err != nil {
			t.Fatal(err)
		}
	}
	return files / 2
}
