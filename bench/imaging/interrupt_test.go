package imaging

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestInterrupt interrupts imagezip while it writes: neither the image nor its
// signature may be there, nor anything else it made. One that is killed leaves
// its temporary files, but nothing under a final name.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind   string
		signal os.Signal
	}{{"-3", os.Interrupt}, {"--v5", os.Interrupt}, {"-3", os.Kill}, {"--v5", os.Kill}} {
		t.Run(c.kind+" "+c.signal.String(), func(t *testing.T) {
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
			cmd := exec.CommandContext(t.Context(), os.Args[0], "tool", "imagezip", c.kind, "-o", "-r", "-U", "", disk, filepath.Join(dir, "image"))
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			text := bufio.NewReader(stderr)
			if _, err := text.ReadString('.'); err != nil { // the first chunk
				t.Error(err)
			}
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Error(err)
			}
			if _, err := text.WriteTo(io.Discard); err != nil {
				t.Error(err)
			}
			var exit *exec.ExitError
			killed := c.signal == os.Kill
			if err := cmd.Wait(); !errors.As(err, &exit) || !killed && exit.ExitCode() != 1 {
				t.Errorf("ended with %v", err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if name := e.Name(); name != "disk" && !(killed && name[0] == '.') {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}
