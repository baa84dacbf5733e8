package main

import (
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"hyzer/imaging/delta"
	"hyzer/imaging/extfs"
)

// openFiles opens the file system in IMAGE[:PART].
func (r *readFlags) openFiles(e *env, name string) (*extfs.FS, *delta.Chain, error) {
	name, part := partOf(name)
	chain, err := r.open(e, name)
	if err != nil {
		return nil, nil, err
	}
	s, err := section(chain.Disk, part, extfs.Is)
	var files *extfs.FS
	if err == nil {
		files, err = extfs.Open(s, s.Size())
	}
	if err != nil {
		chain.Close()
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	if w := files.Warning(); w != "" {
		fmt.Fprintf(e.errs, "warning: %s: %s\n", name, w)
	}
	return files, chain, nil
}

// fileFacts is a line of `image ls`.
type fileFacts struct {
	Path     string    `json:"path"`
	Mode     string    `json:"mode"`
	Links    int       `json:"links"`
	UID      uint32    `json:"uid"`
	GID      uint32    `json:"gid"`
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Inode    uint64    `json:"inode"`
	Target   string    `json:"target,omitempty"`
	Device   string    `json:"device,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// listing is one run of `image ls`.
type listing struct {
	e         *env
	fs        *extfs.FS
	long      bool
	recursive bool
	found     []fileFacts
	failed    bool
}

func imageFiles(e *env, args []string) error {
	l := &listing{e: e}
	flags, address := e.flags("image ls")
	read := readFlags{}
	read.add(flags)
	flags.BoolVar(&l.long, "l", false, "show mode, owner, size and time")
	flags.BoolVar(&l.recursive, "R", false, "list directories below too")
	rest, err := e.parse(flags, address, args)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return badUsage("want an image")
	}
	files, chain, err := read.openFiles(e, rest[0])
	if err != nil {
		return err
	}
	defer chain.Close()
	l.fs = files
	if rest = rest[1:]; len(rest) == 0 {
		rest = []string{"/"}
	}
	for _, name := range rest {
		if err := l.path(name); err != nil {
			return err
		}
	}
	if err := l.print(); err != nil {
		return err
	}
	if l.failed {
		return exitStatus(exitFailed)
	}
	return nil
}

func (l *listing) path(name string) error {
	i, err := l.fs.Lookup(name, false)
	if err != nil {
		return err
	}
	if !i.IsDir() {
		l.add(name, i, nil)
		return nil
	}
	if l.recursive {
		return l.fs.Walk(name, i, func(at string, i *extfs.Inode, err error) error {
			l.add(at, i, err)
			return l.e.ctx.Err()
		})
	}
	names, err := l.fs.Names(i)
	for _, entry := range names {
		child, err := l.fs.Inode(entry.Inode)
		l.add(entry.Name, child, err)
	}
	if err != nil {
		l.add(name, i, err)
	}
	return nil
}

func (l *listing) add(name string, i *extfs.Inode, err error) {
	f := fileFacts{Path: name}
	if i != nil {
		f.Mode, f.Links, f.UID, f.GID, f.Size, f.Modified, f.Inode = modeText(i.Mode()), i.Links, i.UID, i.GID, i.Size, i.Modified, i.Number
		if i.Mode()&fs.ModeDevice != 0 {
			major, minor := i.Device()
			f.Device = fmt.Sprintf("%d,%d", major, minor)
		}
	}
	if err == nil && i.Mode()&fs.ModeSymlink != 0 && (l.long || l.e.json) {
		f.Target, err = l.fs.ReadLink(i)
	}
	if err != nil {
		f.Error, l.failed = err.Error(), true
	}
	l.found = append(l.found, f)
}

// modeText is a mode as ls writes it.
func modeText(m fs.FileMode) string {
	kind := "-"
	for bit, c := range map[fs.FileMode]string{fs.ModeDir: "d", fs.ModeSymlink: "l", fs.ModeNamedPipe: "p", fs.ModeSocket: "s", fs.ModeDevice: "b"} {
		if m&bit != 0 {
			kind = c
		}
	}
	if m&fs.ModeCharDevice != 0 {
		kind = "c"
	}
	b := []byte(kind + "rwxrwxrwx")
	for i := range 9 {
		if m>>(8-i)&1 == 0 {
			b[i+1] = '-'
		}
	}
	special := func(bit fs.FileMode, at int, c byte) {
		switch {
		case m&bit == 0:
		case b[at] == 'x':
			b[at] = c
		default:
			b[at] = c - 'a' + 'A'
		}
	}
	special(fs.ModeSetuid, 3, 's')
	special(fs.ModeSetgid, 6, 's')
	special(fs.ModeSticky, 9, 't')
	return string(b)
}

func (l *listing) print() error {
	if l.e.json {
		if l.found == nil {
			l.found = []fileFacts{}
		}
		return l.e.printJSON(l.found)
	}
	var rows [][]string
	for _, f := range l.found {
		if f.Error != "" {
			fmt.Fprintf(l.e.errs, "%s: %s\n", printable(f.Path), printable(f.Error))
			continue
		}
		if !l.long {
			l.e.printf("%s\n", printable(f.Path))
			continue
		}
		name := f.Path
		if f.Target != "" {
			name += " -> " + f.Target
		}
		length := strconv.FormatInt(f.Size, 10)
		if f.Device != "" {
			length = f.Device
		}
		rows = append(rows, []string{f.Mode, strconv.Itoa(f.Links), fmt.Sprint(f.UID), fmt.Sprint(f.GID), length, f.Modified.Format(time.DateTime), name})
	}
	if !l.long {
		return nil
	}
	return l.e.table("MODE LINKS UID GID SIZE MODIFIED NAME", rows)
}

func imageCat(e *env, args []string) error {
	flags, address := e.flags("image cat")
	read := readFlags{}
	read.add(flags)
	rest, err := e.parse(flags, address, args)
	if err != nil {
		return err
	}
	if len(rest) < 2 {
		return badUsage("want an image and the paths of files in it")
	}
	if e.json {
		return badUsage("cat prints files as they are; --json would change them")
	}
	files, chain, err := read.openFiles(e, rest[0])
	if err != nil {
		return err
	}
	defer chain.Close()
	for _, name := range rest[1:] {
		if err := catFile(e, files, name); err != nil {
			return err
		}
	}
	return nil
}

func catFile(e *env, files *extfs.FS, name string) error {
	i, err := files.Lookup(name, true)
	if err != nil {
		return err
	}
	if !i.Mode().IsRegular() {
		return fmt.Errorf("%s: is no regular file", name)
	}
	x, err := files.Open(i)
	if err != nil {
		return err
	}
	if _, err := x.WriteTo(stopWriter{e}); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// stopWriter is the output, until the command is interrupted.
type stopWriter struct{ e *env }

func (w stopWriter) Write(p []byte) (int, error) {
	if err := w.e.ctx.Err(); err != nil {
		return 0, err
	}
	return w.e.out.Write(p)
}
