package extfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

const (
	// linksMax is how many symbolic links are followed for one path.
	linksMax = 40
	// partsMax bounds a path with all links in it.
	partsMax = 4096
	// depthMax bounds how deep Walk goes.
	depthMax = 4096
)

// Lookup finds the inode of a path from the root directory. Symbolic links on
// the way are followed, and with follow the one at its end too. A name that is
// not there is fs.ErrNotExist.
func (f *FS) Lookup(name string, follow bool) (*Inode, error) {
	root, err := f.Inode(rootInode)
	if err != nil {
		return nil, err
	}
	way := []*Inode{root} // from the root to where we are
	parts := split(name)
	links := 0
	for n := 0; len(parts) > 0; n++ {
		part := parts[0]
		parts = parts[1:]
		here := way[len(way)-1]
		switch {
		case n > partsMax:
			return nil, fmt.Errorf("%s: path is too long", name)
		case part == "..":
			way = way[:max(1, len(way)-1)]
			continue
		}
		next, err := f.child(here, part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if next.Mode()&fs.ModeSymlink == 0 || len(parts) == 0 && !follow {
			way = append(way, next)
			continue
		}
		target, err := f.ReadLink(next)
		if links++; err == nil && links > linksMax {
			err = errors.New("too many symbolic links")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if strings.HasPrefix(target, "/") {
			way = way[:1]
		}
		parts = append(split(target), parts...)
	}
	return way[len(way)-1], nil
}

// split parts a path into its names.
func split(name string) []string {
	return slices.DeleteFunc(strings.Split(name, "/"), func(p string) bool { return p == "" || p == "." })
}

func (f *FS) child(dir *Inode, name string) (*Inode, error) {
	found := errors.New("found")
	n := uint64(0)
	if !dir.IsDir() {
		return nil, fs.ErrNotExist
	}
	err := f.ReadDir(dir, func(e Entry) error {
		if e.Name != name {
			return nil
		}
		n = e.Inode
		return found
	})
	switch err {
	case found:
		return f.Inode(n)
	case nil:
		return nil, fs.ErrNotExist
	}
	return nil, err
}

// Walk calls fn for everything below a directory, in the order of names, with
// its path. If an inode or a directory cannot be read it is told why, with what
// inode there is; what it returns ends the walk. A directory that is in two
// places is damage.
func (f *FS) Walk(at string, dir *Inode, fn func(name string, i *Inode, err error) error) error {
	return f.walk(at, dir, map[uint64]bool{}, 0, fn)
}

func (f *FS) walk(at string, dir *Inode, seen map[uint64]bool, depth int, fn func(string, *Inode, error) error) error {
	if seen[dir.Number] || depth > depthMax {
		return fn(at, dir, damaged("directory inode %d is in two places, or %d deep", dir.Number, depth))
	}
	seen[dir.Number] = true
	list, err := f.Names(dir)
	if err != nil {
		if err := fn(at, dir, err); err != nil {
			return err
		}
	}
	for _, e := range list {
		name := path.Join(at, e.Name)
		i, err := f.Inode(e.Inode)
		if err := fn(name, i, err); err != nil {
			return err
		}
		if err == nil && i.IsDir() {
			if err := f.walk(name, i, seen, depth+1, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// Names lists a directory in the order of names. With an error, those before
// the damage.
func (f *FS) Names(dir *Inode) ([]Entry, error) {
	var list []Entry
	err := f.ReadDir(dir, func(e Entry) error {
		list = append(list, e)
		return nil
	})
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}
