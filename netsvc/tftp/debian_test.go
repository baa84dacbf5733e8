package tftp

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Debian's clients, which site scripts and people use, fetch files of sizes
// around the block and window borders.
func TestDebianClients(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{}
	for _, size := range []int{0, 1, 511, 512, 513, 1432 * 16, 1<<20 + 7} {
		files[fmt.Sprintf("file-%d", size)] = content(size)
	}
	s := startSite(t, Config{}, files)
	port := strconv.Itoa(int(s.addr.Port()))
	clients := []struct {
		name string
		args func(file, out string) []string
	}{
		{"atftp", func(file, out string) []string {
			return []string{"--option", "blksize 1432", "--option", "windowsize 16", "-g", "-r", file, "-l", out, "127.0.0.1", port}
		}},
		{"atftp", func(file, out string) []string { return []string{"-g", "-r", file, "-l", out, "127.0.0.1", port} }},
		{"tftp", func(file, out string) []string {
			return []string{"-m", "binary", "127.0.0.1", port, "-c", "get", file, out}
		}},
	}
	for i, client := range clients {
		t.Run(fmt.Sprintf("%d-%s", i, client.name), func(t *testing.T) {
			t.Parallel()
			binary, err := exec.LookPath(client.name)
			if err != nil {
				t.Skipf("%s is not installed; its Debian package is atftp or tftp-hpa", client.name)
			}
			for file, want := range files {
				out := filepath.Join(t.TempDir(), file)
				text, err := exec.CommandContext(t.Context(), binary, client.args(file, out)...).CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%s", file, err, text)
				}
				got, err := os.ReadFile(out)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, want %d (%v)\n%s", file, len(got), len(want), err, text)
				}
			}
		})
	}
}
