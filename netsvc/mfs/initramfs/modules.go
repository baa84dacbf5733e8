package initramfs

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// dependencies are the module files below a folder with the files that each
// needs: as depmod wrote them, or, of a package that was only unpacked, as the
// modules say themselves.
func dependencies(dir string) (map[string][]string, error) {
	dep, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err == nil {
		return parseDep(string(dep)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return readModules(os.DirFS(dir))
}

// parseDep reads modules.dep: "file: needed needed...".
func parseDep(text string) map[string][]string {
	needs := map[string][]string{}
	for line := range strings.Lines(text) {
		if file, rest, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			needs[file] = strings.Fields(rest)
		}
	}
	return needs
}

// readModules reads what each module says that it depends on. Compressed ones
// cannot be read: run depmod.
func readModules(dir fs.FS) (map[string][]string, error) {
	byName, names := map[string]string{}, map[string][]string{}
	err := fs.WalkDir(dir, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || !strings.HasSuffix(file, ".ko") {
			return err
		}
		depends, err := moduleDepends(dir, file)
		if err != nil {
			return fmt.Errorf("module %s: %w", file, err)
		}
		byName[moduleName(file)], names[file] = file, depends
		return nil
	})
	needs := map[string][]string{}
	for file, list := range names {
		needs[file] = nil
		for _, name := range list {
			if other := byName[moduleName(name)]; other != "" {
				needs[file] = append(needs[file], other)
			}
		}
	}
	return needs, err
}

func moduleDepends(dir fs.FS, file string) ([]string, error) {
	data, err := fs.ReadFile(dir, file)
	if err != nil {
		return nil, err
	}
	object, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	section := object.Section(".modinfo")
	if section == nil {
		return nil, errors.New("no .modinfo section")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(field, []byte("depends=")); ok {
			return strings.FieldsFunc(string(list), func(r rune) bool { return r == ',' }), nil
		}
	}
	return nil, nil
}

// order returns the files of modules and of all that they need, each after
// those it needs.
func order(needs map[string][]string, modules []string) ([]string, error) {
	byName := map[string]string{}
	for file := range needs {
		byName[moduleName(file)] = file
	}
	var files []string
	added := map[string]bool{} // false while what it needs is being added
	var add func(file string) error
	add = func(file string) error {
		if done, seen := added[file]; seen {
			if !done {
				return fmt.Errorf("module %s needs itself", file)
			}
			return nil
		}
		added[file] = false
		for _, n := range needs[file] {
			if err := add(n); err != nil {
				return err
			}
		}
		added[file] = true
		files = append(files, file)
		return nil
	}
	for _, name := range modules {
		file := byName[moduleName(name)]
		if file == "" {
			return nil, fmt.Errorf("there is no module %s", name)
		}
		if err := add(file); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// moduleName is a module's name as the kernel has it.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
