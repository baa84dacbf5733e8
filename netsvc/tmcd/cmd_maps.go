package tmcd

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mapBytesMax bounds a map of an experiment; the largest are under 1 MB.
const mapBytesMax = 8 << 20

// runMap hands out a map that the experiment's mapper made, as it is on the
// disk (topomap, ltmap, ltpmap). Experiments that have none get nothing. Project
// and experiment are checked names, and lead nowhere else.
func runMap(c *call) {
	root := c.snap.Site().Dirs.ExptWork
	if root == "" {
		return
	}
	e := c.who.expt
	if data, err := c.h.ReadFile(filepath.Join(root, e.Project, e.ID, c.cmd.name+".gz"), mapBytesMax); err == nil {
		c.out = append(c.out, data...)
	}
}

func readFile(path string, max int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // opening a pipe must not wait
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(max)+1))
	if err == nil && len(data) > max {
		return nil, fmt.Errorf("%s is over %d bytes", path, max)
	}
	return data, err
}
