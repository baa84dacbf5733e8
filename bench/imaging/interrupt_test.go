package imaging

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// TestInterrupt interrupts imagezip while it writes: neither the image nor its
// signature may be there, nor anything else it made.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"-3", "--v5"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			noise := make([]byte, 24<<20) // some chunks
			rand.NewChaCha8([32]byte{4}).Read(noise)
			disk := filepath.Join(dir, "disk")
			if err := os.WriteFile(disk, noise, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(disk, 1<<40); err != nil { // takes minutes to read
				t.Fatal(err)
			}
			c := exec.CommandContext(t.Context(), os.Args[0], "tool", "imagezip", kind, "-o", "-r", "-U", "", disk, filepath.Join(dir, "image"))
			stderr, err := c.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			text := bufio.NewReader(stderr)
			if _, err := text.ReadString('.'); err != nil { // the first chunk
				t.Error(err)
			}
			if err := c.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
			if _, err := text.WriteTo(io.Discard); err != nil {
				t.Error(err)
			}
			var exit *exec.ExitError
			if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Errorf("ended with %v", err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(entries, func(e os.DirEntry) bool { return e.Name() != "disk" }); i >= 0 {
				t.Errorf("%s is left", entries[i].Name())
			}
		})
	}
}
