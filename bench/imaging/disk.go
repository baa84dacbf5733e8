package imaging

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
)

// The disks: a file system of real files, and the same with some blocks of
// file data changed.
const (
	blockBytes   = 4096
	changeRun    = 16  // blocks that change together
	changeEvery  = 320 // blocks, of which a run changes: 5 %
	fileBytesMax = 64 << 20
	diskPerFiles = 2 // times the size of the files
	diskBytesMin = 32 << 20
)

// makeDisks writes a.img and b.img to dir and returns the bytes of files.
func makeDisks(ctx context.Context, dir, from string, bytes int64) (int64, error) {
	tree := filepath.Join(dir, "tree")
	defer os.RemoveAll(tree)
	c := copier{ctx: ctx, from: from, tree: tree, left: bytes, seed: maphash.MakeSeed(), change: map[uint64]bool{}}
	if err := filepath.WalkDir(from, c.visit); err != nil && !errors.Is(err, errFull) {
		return 0, err
	}
	if c.copied == 0 {
		return 0, fmt.Errorf("no file in %s can be read", from)
	}
	a, b := filepath.Join(dir, "a.img"), filepath.Join(dir, "b.img")
	os.Remove(a)
	// Without the two features that the old C programs refuse.
	size := fmt.Sprintf("%dk", max(diskBytesMin, c.copied*diskPerFiles)>>10)
	mkfs := exec.CommandContext(ctx, "mke2fs", "-q", "-F", "-t", "ext4", "-O", "^64bit,^metadata_csum", "-b", "4096", "-d", tree, a, size)
	if text, err := mkfs.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("mke2fs: %w: %s", err, text)
	}
	return c.copied, c.changed(a, b)
}

var errFull = errors.New("enough files")

// copier copies files until there are enough, and remembers the blocks that
// shall change.
type copier struct {
	ctx          context.Context
	from, tree   string
	copied, left int64
	blocks       int
	seed         maphash.Seed
	change       map[uint64]bool // hashes of blocks
}

func (c *copier) visit(path string, e fs.DirEntry, err error) error {
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	if c.left <= 0 {
		return errFull
	}
	if err != nil || !e.Type().IsRegular() {
		return nil // what cannot be read is left out
	}
	info, err := e.Info()
	if err != nil || info.Size() > fileBytesMax {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	name, err := filepath.Rel(c.from, path)
	if err != nil {
		return err
	}
	to := filepath.Join(c.tree, name)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	c.choose(data)
	c.copied += int64(len(data))
	c.left -= int64(len(data))
	return os.WriteFile(to, data, 0o644)
}

func (c *copier) choose(data []byte) {
	for ; len(data) >= blockBytes; data = data[blockBytes:] {
		if c.blocks++; c.blocks%changeEvery < changeRun {
			c.change[maphash.Bytes(c.seed, data[:blockBytes])] = true
		}
	}
}

// changed writes disk a to b with the chosen blocks replaced.
func (c *copier) changed(a, b string) error {
	in, err := os.Open(a)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(b)
	if err != nil {
		return err
	}
	defer out.Close()
	delete(c.change, maphash.Bytes(c.seed, make([]byte, blockBytes))) // free space
	random := rand.NewChaCha8([32]byte{1})
	block, at := make([]byte, blockBytes), int64(0)
	for ; ; at += blockBytes {
		if _, err := io.ReadFull(in, block); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		if c.change[maphash.Bytes(c.seed, block)] {
			random.Read(block[:blockBytes/2]) // the other half still compresses
		}
		if _, err := out.WriteAt(block, at); err != nil {
			return err
		}
	}
	return out.Close()
}
