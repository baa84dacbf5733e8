package systemd

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/bench/tools"
)

// checkTime ends a container that hangs; it takes seconds.
const checkTime = 5 * time.Minute

// TestUnit installs the unit as docs/operating.md says, and lets check.sh look
// at it from inside.
func TestUnit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can run containers")
	}
	nspawn := tools.Find(t, "systemd-nspawn", "systemd-container")
	check := install(t)
	inside := []string{
		"--quiet", "--register=no", "--keep-unit", "--private-network", "--console=pipe", "--machine=hyzer-check",
		"--directory=/", "--volatile=yes",
		"--bind-ro=" + filepath.Join(check, "local") + ":/usr/local", "--bind-ro=" + filepath.Join(check, "hyzer") + ":/etc/hyzer",
		"--bind-ro=" + filepath.Join(check, "units") + ":/etc/systemd/system", "--bind-ro=" + filepath.Join(check, "users") + ":/etc/sysusers.d",
		"--bind=" + check + ":/check",
	}
	if out, err := run(t, nspawn, append(inside, "/bin/true")); err != nil {
		t.Skipf("containers do not run here: %v: %s", err, out)
	}
	boot := append(inside, "--boot", "systemd.unit=check.service", "systemd.firstboot=no")
	for _, other := range []string{"lvm2-monitor", "blk-availability", "systemd-networkd-wait-online", "NetworkManager-wait-online"} {
		boot = append(boot, "systemd.mask="+other+".service")
	}
	out, err := run(t, nspawn, boot)
	log, _ := os.ReadFile(filepath.Join(check, "log")) // for people
	if _, done := os.Stat(filepath.Join(check, "done")); done != nil {
		t.Fatalf("the check did not end: %v: %s\n%s", err, out, log)
	}
	if wrong, err := os.ReadFile(filepath.Join(check, "wrong")); err == nil {
		t.Errorf("%s%s", wrong, log)
	}
}

// install makes the folders that the container has.
func install(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "local", "bin")
	for _, sub := range []string{bin, filepath.Join(dir, "hyzer"), filepath.Join(dir, "units"), filepath.Join(dir, "users")} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-trimpath", "-o", bin, "hyzer/cmd/hyzerd", "hyzer/cmd/hyzer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	for to, from := range map[string]string{
		"check.sh": "testdata/check.sh", "units/check.service": "testdata/check.service", "hyzer/hyzerd.yaml": "testdata/hyzerd.yaml",
		"units/hyzerd.service": "../../docs/hyzerd.service", "site.yaml": "../../docs/site.yaml",
	} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, to), data)
	}
	put(t, filepath.Join(dir, "users", "hyzer.conf"), []byte("u hyzer - - /var/lib/hyzer\n"))
	// The container's programs run as others than the test's owner.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func put(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// run runs systemd-nspawn, with what it and the container print.
func run(t *testing.T, nspawn string, args []string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), checkTime)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, nspawn, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}
