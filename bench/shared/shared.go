// Package shared finds the shared specs and their golden vectors for tests.
//
// The large vectors are not part of this repository. They are read from the
// folder named by HYZER_SHARED, by default "shared" beside the checkout. A
// test that needs a file that is not there skips and says what is missing;
// HYZER_SHARED_REQUIRED=1 turns the skip into a failure, so that CI cannot
// pass by skipping.
package shared

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Path returns the absolute path of a file or folder of the shared specs,
// given with slashes relative to their root. It skips tb if it is absent.
func Path(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(root(), filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("HYZER_SHARED_REQUIRED") != "" {
			tb.Fatalf("shared specs: %v (HYZER_SHARED_REQUIRED is set)", err)
		}
		tb.Skipf("shared specs: %s is absent; set HYZER_SHARED to their folder", path)
	}
	return path
}

// ReadFile returns the content of a file of the shared specs, or skips tb.
func ReadFile(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(Path(tb, name))
	if err != nil {
		tb.Fatalf("shared specs: %v", err)
	}
	return data
}

// ReadGzip returns the unpacked content of a gzip file of the shared specs, or
// skips tb.
func ReadGzip(tb testing.TB, name string) []byte {
	tb.Helper()
	packed, err := gzip.NewReader(bytes.NewReader(ReadFile(tb, name)))
	if err != nil {
		tb.Fatalf("shared specs: %s: %v", name, err)
	}
	data, err := io.ReadAll(packed)
	if err != nil {
		tb.Fatalf("shared specs: %s: %v", name, err)
	}
	return data
}

func root() string {
	if dir := os.Getenv("HYZER_SHARED"); dir != "" {
		return dir
	}
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		return filepath.Join("..", "shared")
	}
	checkout := filepath.Dir(filepath.Dir(filepath.Dir(here)))
	return filepath.Join(filepath.Dir(checkout), "shared")
}
