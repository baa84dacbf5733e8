package zip_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/imaging/zip"
)

// TestSourceChanges writes to a file while an image is made of it, which is told.
func TestSourceChanges(t *testing.T) {
	t.Parallel()
	for _, changes := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "disk")
		if err := os.WriteFile(path, noise(5<<20, 2), 0o600); err != nil {
			t.Fatal(err)
		}
		src, closer, err := zip.OpenSource(path)
		if err != nil {
			t.Fatal(err)
		}
		defer closer.Close()
		var warnings []string
		opts := zip.Options{Raw: true, Warn: func(text string) { warnings = append(warnings, text) }, Chosen: func(*zip.Layout) {
			if f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); changes && err == nil {
				_, err = f.Write([]byte("more"))
				f.Close()
			}
		}}
		if _, err := zip.Create(t.Context(), src, io.Discard, opts); err != nil {
			t.Fatal(err)
		}
		if told := strings.Contains(strings.Join(warnings, "\n"), "was written to"); told != changes {
			t.Errorf("changes: %v, warnings %q", changes, warnings)
		}
	}
}
