package mfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// Entry is what to start from a partition. Paths are those of an fs.FS; there
// may be no Initrd.
type Entry struct {
	Kernel, Initrd, Cmdline string
}

// configs are where extlinux and its likes keep their menu.
var configs = [...]string{
	"boot/extlinux/extlinux.conf", "extlinux/extlinux.conf", "extlinux.conf", "boot/extlinux.conf",
	"boot/syslinux/syslinux.cfg", "syslinux/syslinux.cfg", "syslinux.cfg",
}

// configBytesMax bounds a menu that is read.
const configBytesMax = 64 << 10

// errNoSystem says that a partition holds no kernel that this finds.
var errNoSystem = errors.New("no extlinux.conf and no boot/vmlinuz-* in the file system")

// FindEntry finds the default entry of the partition's menu, else the newest
// kernel in boot/, which gets the device as its root and the words of keep.
func FindEntry(root fs.FS, device string, keep []string) (Entry, error) {
	for _, name := range configs {
		text, err := readFile(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Entry{}, err
		}
		e, err := parseMenu(text, path.Dir(name))
		if err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
		return e, nil
	}
	return newestKernel(root, device, keep)
}

func readFile(root fs.FS, name string) (string, error) {
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, configBytesMax))
	return string(text), err
}

// parseMenu reads an extlinux menu: the entry that DEFAULT names, else the
// first. Paths without a leading slash are relative to the menu's folder.
func parseMenu(text, dir string) (Entry, error) {
	var first, chosen, wanted string
	labels := map[string]*Entry{}
	var current *Entry
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		switch strings.ToLower(word) {
		case "default":
			wanted = rest
		case "label":
			if first == "" {
				first = rest
			}
			current = &Entry{}
			labels[rest] = current
		case "kernel", "linux", "initrd", "append":
			if current != nil {
				current.set(strings.ToLower(word), rest, dir)
			}
		}
	}
	if chosen = wanted; labels[chosen] == nil {
		chosen = first
	}
	e := labels[chosen]
	if e == nil || e.Kernel == "" {
		return Entry{}, fmt.Errorf("menu has no entry with a kernel (default is %q)", wanted)
	}
	return *e, nil
}

func (e *Entry) set(key, value, dir string) {
	switch key {
	case "kernel", "linux":
		e.Kernel = menuPath(value, dir)
	case "initrd":
		e.Initrd = menuPath(value, dir)
	case "append":
		var words []string
		for _, word := range strings.Fields(value) {
			if name, ok := strings.CutPrefix(word, "initrd="); ok {
				e.Initrd = menuPath(name, dir)
				continue
			}
			words = append(words, word)
		}
		e.Cmdline = strings.Join(words, " ")
	}
}

func menuPath(name, dir string) string {
	if !strings.HasPrefix(name, "/") {
		name = path.Join("/", dir, name)
	}
	return strings.TrimPrefix(path.Clean(name), "/")
}

// newestKernel takes the kernel with the highest version as text, and the RAM
// disk that goes with it.
func newestKernel(root fs.FS, device string, keep []string) (Entry, error) {
	kernels, err := fs.Glob(root, "boot/vmlinuz-*")
	if err != nil || len(kernels) == 0 {
		return Entry{}, errNoSystem
	}
	e := Entry{Kernel: kernels[len(kernels)-1]}
	version := strings.TrimPrefix(e.Kernel, "boot/vmlinuz-")
	for _, name := range []string{"boot/initrd.img-" + version, "boot/initramfs-" + version + ".img"} {
		if _, err := fs.Stat(root, name); err == nil {
			e.Initrd = name
		}
	}
	e.Cmdline = strings.Join(append([]string{"root=" + device, "ro"}, keep...), " ")
	return e, nil
}
