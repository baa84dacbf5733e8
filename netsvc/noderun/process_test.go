package noderun

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain is bootsetup in the processes that tests start.
func TestMain(m *testing.M) {
	if os.Getenv("NODERUN_TEST") != "" {
		os.Exit(BootSetup(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// process is bootsetup as a process of its own, with a node's environment.
func process(t *testing.T, s *site, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "NODERUN_TEST=1", "BOSSNAME="+s.addr, "HYZER_BIND="+nodeAddr)
	return cmd
}

// TestConsoleGone: a console that is closed ends neither the boot nor the log,
// and scripts die of a broken pipe as ever.
func TestConsoleGone(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	cmd := process(t, s, "-o", dir, script(t, dir, "x", "echo one; yes | head -1; echo two; exit 7"))
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("%v", err)
	}
	if got := stamps.ReplaceAllString(s.log("n1"), ""); !strings.Contains(got, "one\ny\ntwo\n") {
		t.Errorf("log %q", got)
	}
	if got := s.order.String(); got != "n1 state TBSETUP\nn1 log\nn1 errno 7\nn1 state TBFAILED" {
		t.Errorf("told\n%s", got)
	}
}

// TestRealSignal: SIGTERM goes to the script, and is told as what ended it.
func TestRealSignal(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	cmd := process(t, s, "-o", dir, script(t, dir, "x", "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done"))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "ready" {
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 143 {
		t.Errorf("%v", err)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "bootsetup.log")); err != nil || !strings.Contains(string(log), "told\n") {
		t.Errorf("log %q, %v", log, err)
	}
	if run := s.reg.Snapshot().Runtime("n1"); run == nil || run.BootErrno != 143 {
		t.Errorf("%+v", run)
	}
}
