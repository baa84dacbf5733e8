package appliance

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hyzer/netsvc/control"
	"hyzer/storage/kv/pebblekv"
)

// asDaemon makes this test binary the daemon: a process that tests may kill.
const asDaemon = "HYZER_TEST_AS_DAEMON"

func TestMain(m *testing.M) {
	if path := os.Getenv(asDaemon); path != "" {
		os.Exit(Main([]string{"--config", path}, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestMainUsage(t *testing.T) {
	t.Parallel()
	good := configFile(t, "data_dir: /nonexistent\n")
	for _, c := range []struct {
		args   string
		status int
		errs   string
	}{
		{"--version", 0, "hyzerd " + Version + "\n"},
		{"--help", 0, "configuration"},
		{"--nonsense", 3, "nonsense"},
		{"extra", 3, `unexpected argument "extra"`},
		{"--config /nonexistent", 1, "hyzerd: open /nonexistent: no such file"},
		{"--check --config " + configFile(t, "control: ''"), 1, "control is empty"},
		{"--check --config " + good, 0, ""},
	} {
		var errs bytes.Buffer
		status := Main(strings.Fields(c.args), &errs)
		if status != c.status || !strings.Contains(errs.String(), c.errs) {
			t.Errorf("%s: status %d, %q", c.args, status, &errs)
		}
	}
}

// daemon starts a process and returns when it answers.
func daemon(t *testing.T, dir, config string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(dir, "hyzerd.yaml")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	notifications := listenNotify(t)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asDaemon+"="+path, "NOTIFY_SOCKET="+notifications.path)
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	notifications.await(t, "READY=1")
	return cmd
}

// TestProcess: told to stop, the daemon stops soon and in order; killed, it
// loses nothing and starts again beside what it left.
func TestProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	config := fmt.Sprintf("data_dir: %s/data\ncontrol: %s\ntftp: {listen: '127.0.0.1:0'}\n", dir, socket)
	client := control.Dial(socket)
	defer client.Close()
	imported := func() int {
		t.Helper()
		var s control.Status
		if err := client.Call(t.Context(), "GET", "/v1/status", nil, &s); err != nil {
			t.Fatal(err)
		}
		return s.Nodes
	}
	first := daemon(t, dir, config)
	site, err := os.Open("testdata/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer site.Close()
	if err := client.Call(t.Context(), "POST", "/v1/import", site, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.Process.Kill(), ignoreExit(first.Wait())); err != nil {
		t.Fatal(err)
	}
	client.Close()
	if _, err := os.Stat(socket); err != nil {
		t.Errorf("a killed process leaves its socket, which the next one has to meet: %v", err)
	}
	second := daemon(t, dir, config)
	if n := imported(); n != 4 {
		t.Errorf("after the kill there are %d nodes", n)
	}
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Errorf("told to stop: %v", err)
	}
	if _, err := pebblekv.Verify(filepath.Join(dir, "data", "db")); err != nil {
		t.Error(err)
	}
}

func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
