package mfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// entry is what to start from a partition. Paths are those of an fs.FS.
type entry struct {
	kernel, initrd, cmdline string
}

// configs are where extlinux and its likes keep their menu.
var configs = [...]string{
	"boot/extlinux/extlinux.conf", "extlinux/extlinux.conf", "extlinux.conf", "boot/extlinux.conf",
	"boot/syslinux/syslinux.cfg", "syslinux/syslinux.cfg", "syslinux.cfg",
}

// configBytesMax bounds a menu that is read.
const configBytesMax = 64 << 10

// ErrNoSystem says that a partition holds no kernel that this finds.
var errNoSystem = errors.New("no extlinux.conf and no boot/vmlinuz-* in the file system")

// findEntry finds the default entry of the partition's menu, else the newest
// kernel in boot/, whose root is then the device.
func findEntry(root fs.FS, device string, running params) (entry, error) {
	for _, name := range configs {
		text, err := readFile(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return entry{}, err
		}
		e, err := parseMenu(text, path.Dir(name))
		if err != nil {
			return e, fmt.Errorf("%s: %w", name, err)
		}
		return e, nil
	}
	return newestKernel(root, device, running)
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
func parseMenu(text, dir string) (entry, error) {
	var first, chosen, wanted string
	labels := map[string]*entry{}
	var current *entry
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
			current = &entry{}
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
	if e == nil || e.kernel == "" {
		return entry{}, fmt.Errorf("menu has no entry with a kernel (default is %q)", wanted)
	}
	return *e, nil
}

func (e *entry) set(key, value, dir string) {
	switch key {
	case "kernel", "linux":
		e.kernel = menuPath(value, dir)
	case "initrd":
		e.initrd = menuPath(value, dir)
	case "append":
		var words []string
		for _, word := range strings.Fields(value) {
			if name, ok := strings.CutPrefix(word, "initrd="); ok {
				e.initrd = menuPath(name, dir)
				continue
			}
			words = append(words, word)
		}
		e.cmdline = strings.Join(words, " ")
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
func newestKernel(root fs.FS, device string, running params) (entry, error) {
	kernels, err := fs.Glob(root, "boot/vmlinuz-*")
	if err != nil || len(kernels) == 0 {
		return entry{}, errNoSystem
	}
	e := entry{kernel: kernels[len(kernels)-1]}
	version := strings.TrimPrefix(e.kernel, "boot/vmlinuz-")
	for _, name := range []string{"boot/initrd.img-" + version, "boot/initramfs-" + version + ".img"} {
		if _, err := fs.Stat(root, name); err == nil {
			e.initrd = name
		}
	}
	e.cmdline = strings.Join(append([]string{"root=" + device, "ro"}, running.kept()...), " ")
	return e, nil
}
