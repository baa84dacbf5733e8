package mfs

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// modulesFile lists the modules of the memory file system, a path on each line,
// in the order in which they need each other.
const modulesFile = "/etc/modules"

// loadModules loads what fits the machine: a driver without its device is no
// error. Without a list there is nothing to load.
func (m *machine) loadModules(list string) error {
	text, err := os.ReadFile(list)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		path := strings.TrimSpace(line)
		if path == "" || path[0] == '#' {
			continue
		}
		if err := loadModule(path); err != nil {
			m.log.Warn("module is not loaded", "module", path, "error", err)
		}
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(path, ".ko") { // .ko.xz, .ko.zst
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	if err := unix.FinitModule(int(f.Fd()), "", flags); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("finit_module: %w", err)
	}
	return nil
}
