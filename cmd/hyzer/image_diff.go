package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"hyzer/imaging/extfs"
	"hyzer/imaging/freemap"
	"hyzer/imaging/view"
)

// exitDiffer is the exit status of diff for images that are not the same.
const exitDiffer = 2

// differences is what `image diff` tells with --json, after a line for each
// region.
type differences struct {
	Event    string        `json:"event"` // "compared"
	Same     bool          `json:"same"`
	Changed  uint64        `json:"changed_sectors"`
	New      uint64        `json:"new_sectors"`
	Freed    uint64        `json:"freed_sectors"`
	Files    []changedFile `json:"files,omitempty"`
	twoSizes bool
}

type diffRegion struct {
	Event   string `json:"event"` // "region"
	Start   uint64 `json:"start_sector"`
	Sectors uint64 `json:"sectors"`
	Kind    string `json:"kind"`
}

type changedFile struct {
	Path string `json:"path"`
	Kind string `json:"kind"` // changed, new, gone
}

func imageDiff(e *env, args []string) error {
	flags, address := e.flags("image diff")
	read := readFlags{}
	read.add(flags)
	files := flags.Bool("files", false, "compare the files of the ext2, ext3 or ext4 file system in them")
	rest, err := e.parse(flags, address, args)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return badUsage("want two images")
	}
	d := differences{Event: "compared"}
	if *files {
		err = d.files(e, read, rest)
	} else {
		err = d.regions(e, read, rest)
	}
	if err != nil {
		return err
	}
	d.print(e)
	if !d.Same {
		return exitStatus(exitDiffer)
	}
	return nil
}

func (d *differences) regions(e *env, read readFlags, names []string) error {
	a, err := read.open(e, names[0])
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := read.open(e, names[1])
	if err != nil {
		return err
	}
	defer b.Close()
	m := e.meter("compare")
	defer m.end()
	m.of(view.Common(a.Disk, b.Disk))
	sums := map[view.Kind]*uint64{view.Changed: &d.Changed, view.New: &d.New, view.Freed: &d.Freed}
	err = view.Diff(e.ctx, a.Disk, b.Disk, m.at, func(x view.Difference) error {
		*sums[x.Kind] += x.Sectors()
		m.tell(diffRegion{"region", x.Start, x.Sectors(), x.Kind.String()})
		return nil
	})
	if err != nil {
		return err
	}
	d.twoSizes = a.Sectors() != b.Sectors()
	d.Same = d.sectors() == 0 && !d.twoSizes
	return nil
}

// sectors is how many differ.
func (d *differences) sectors() uint64 { return d.Changed + d.New + d.Freed }

func (r diffRegion) String() string {
	return fmt.Sprintf("%-7s sectors [%d,%d)", r.Kind, r.Start, r.Start+r.Sectors)
}

func (d *differences) print(e *env) {
	if e.json {
		e.meter("compare").line(d)
		return
	}
	for _, f := range d.Files {
		e.printf("%-7s %s\n", f.Kind, printable(f.Path))
	}
	if d.twoSizes {
		e.printf("the disks are not of one size\n")
	}
	if d.sectors() > 0 {
		e.printf("%s changed, %s new, %s freed\n", sectorsText(d.Changed), sectorsText(d.New), sectorsText(d.Freed))
	}
}

func sectorsText(n uint64) string { return size(int64(n) * freemap.SectorBytes) }

// tree is the files of one image by their paths.
type tree struct {
	fs    *extfs.FS
	files map[string]*extfs.Inode
}

func readTree(e *env, files *extfs.FS) (tree, error) {
	t := tree{files, map[string]*extfs.Inode{}}
	root, err := files.Lookup("/", true)
	if err != nil {
		return t, err
	}
	return t, files.Walk("", root, func(name string, i *extfs.Inode, err error) error {
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		t.files[name] = i
		return e.ctx.Err()
	})
}

// files compares all files of two images.
func (d *differences) files(e *env, read readFlags, names []string) error {
	var trees [2]tree
	for k, name := range names {
		files, chain, err := read.openFiles(e, name)
		if err != nil {
			return err
		}
		defer chain.Close()
		if trees[k], err = readTree(e, files); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	all := maps.Clone(trees[0].files)
	maps.Copy(all, trees[1].files)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		a, b := trees[0].files[name], trees[1].files[name]
		kind := ""
		switch {
		case a == nil:
			kind = "new"
		case b == nil:
			kind = "gone"
		default:
			same, err := sameFile(trees, a, b)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if !same {
				kind = "changed"
			}
		}
		if kind != "" {
			d.Files = append(d.Files, changedFile{name, kind})
		}
	}
	d.Same = len(d.Files) == 0
	return nil
}

// sameFile compares what people see of a file: mode, owner, content. Times are
// not content.
func sameFile(t [2]tree, a, b *extfs.Inode) (bool, error) {
	if a.Mode() != b.Mode() || a.UID != b.UID || a.GID != b.GID {
		return false, nil
	}
	switch kind := a.Mode().Type(); {
	case kind == fs.ModeSymlink:
		x, err := t[0].fs.ReadLink(a)
		if err != nil {
			return false, err
		}
		y, err := t[1].fs.ReadLink(b)
		return x == y, err
	case kind&fs.ModeDevice != 0:
		major, minor := a.Device()
		major2, minor2 := b.Device()
		return major == major2 && minor == minor2, nil
	case kind != 0 || a.Size != b.Size:
		return kind != 0, nil
	}
	return sameContent(t, a, b)
}

func sameContent(t [2]tree, a, b *extfs.Inode) (bool, error) {
	x, err := t[0].fs.Open(a)
	if err != nil {
		return false, err
	}
	y, err := t[1].fs.Open(b)
	if err != nil {
		return false, err
	}
	const step = 1 << 20
	p, q := make([]byte, min(step, a.Size)), make([]byte, min(step, a.Size))
	for at := int64(0); at < a.Size; at += step {
		n := min(step, a.Size-at)
		if _, err := x.ReadAt(p[:n], at); err != nil && err != io.EOF {
			return false, err
		}
		if _, err := y.ReadAt(q[:n], at); err != nil && err != io.EOF {
			return false, err
		}
		if !bytes.Equal(p[:n], q[:n]) {
			return false, nil
		}
	}
	return true, nil
}
