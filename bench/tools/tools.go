// Package tools runs the programs of others that tests hold ours against: they
// make file systems, check them and list their content.
package tools

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Find is the path of a program, also where only root looks. If it is not
// installed the test is skipped, with the name of the Debian package to install.
func Find(t testing.TB, name, pkg string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/sbin", "/usr/sbin") {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	t.Skipf("%s is not installed; it is in the package %s", name, pkg)
	return ""
}

// Run runs a program, which must succeed, and returns what it prints.
func Run(t testing.TB, path string, args ...string) string {
	t.Helper()
	out, err := Try(path, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", path, strings.Join(args, " "), err, out)
	}
	return out
}

// Try runs a program. Small XFS file systems are only made for tests, which
// the environment tells; and lvm complains of open files.
func Try(path string, args ...string) (string, error) {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "TEST_DIR=/", "TEST_DEV=/", "QA_CHECK_FS=1", "LVM_SUPPRESS_FD_WARNINGS=1", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
