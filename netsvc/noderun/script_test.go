package noderun

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestExitStatuses of programs that end by themselves or do not start.
func TestExitStatuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noProgram := filepath.Join(dir, "text")
	if err := os.WriteFile(noProgram, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, path string
		status     int
		reason     string
	}{
		{"exit 0", "", 0, ""},
		{"exit 3", "", 3, "exit status 3"},
		{"kill -9 $$", "", 137, "killed: killed"},
		{"", "/nonexistent", 127, "no such file"},
		{"", noProgram, 126, "permission denied"},
	} {
		path := c.path
		if path == "" {
			path = script(t, dir, "s"+itoa(c.status), c.text)
		}
		p := &programs{out: &bytes.Buffer{}, grace: time.Second}
		if e := p.run(path); e.status != c.status || !strings.Contains(e.reason, c.reason) || (c.reason == "") != (e.reason == "") {
			t.Errorf("%s%s: %+v, want %d %q", c.text, c.path, e, c.status, c.reason)
		}
		p.close()
	}
}

// gone waits until a process is no more than a zombie.
func gone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 120_000); n != 1 {
		t.Errorf("process %d still runs, %v", pid, err)
	}
}

// TestGroupIsKilled: what a late script started goes with it, even if both
// refuse to end.
func TestGroupIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := script(t, dir, "stubborn", "trap '' TERM HUP\nsh -c 'trap \"\" TERM HUP; while :; do sleep 60; done' & echo child $!\nwait; wait; while :; do sleep 60; done")
	for _, signal := range []os.Signal{nil, unix.SIGHUP} {
		e, pid := stubborn(t, path, signal)
		want := statusTimedOut
		if signal != nil {
			want = statusSignalled + 1
		}
		if e.status != want {
			t.Errorf("%+v, want %d", e, want)
		}
		gone(t, pid)
	}
}

// stubborn runs a script until it has told of its child, and then to the end
// of its time, which grows until it suffices for that, or until a signal.
func stubborn(t *testing.T, path string, signal os.Signal) (e end, child int) {
	t.Helper()
	for timeout := 100 * time.Millisecond; timeout < time.Hour; timeout *= 4 {
		var out bytes.Buffer
		p := &programs{out: &out, grace: 50 * time.Millisecond}
		if signal == nil {
			p.timeout = timeout
		} else {
			seen := make(chan os.Signal, 1)
			p.out, p.signals = &onText{&out, "child", func() { seen <- signal }}, seen
		}
		e = p.run(path)
		p.close()
		_, number, ok := strings.Cut(strings.TrimSpace(out.String()), "child ")
		if child, err := strconv.Atoi(number); ok && err == nil {
			return e, child
		}
	}
	t.Fatal("the script tells of no child")
	return e, 0
}

// onText calls a function when a text goes by.
type onText struct {
	out  io.Writer
	text string
	then func()
}

func (o *onText) Write(p []byte) (int, error) {
	n, err := o.out.Write(p)
	if bytes.Contains(p, []byte(o.text)) {
		o.then()
	}
	return n, err
}

// TestDaemonHoldsNothingUp: a daemon keeps the output open and lives on.
func TestDaemonHoldsNothingUp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := &programs{out: &out}
	e := p.run(script(t, t.TempDir(), "daemon", "sleep 300 & echo $!"))
	p.close()
	pid, err := strconv.Atoi(strings.TrimSpace(out.String()))
	if e.status != 0 || err != nil {
		t.Fatalf("%+v, %q", e, &out)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("the daemon is gone: %v", err)
	}
}

// TestSignalEndsRun: after a signal no other script starts, not even of a
// shutdown.
func TestSignalEndsRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	signals := make(chan os.Signal, 1)
	signals <- unix.SIGTERM
	boss := &fakeBoss{}
	mark := filepath.Join(dir, "mark")
	args := []string{"-o", dir, "shutdown", script(t, dir, "a", "sleep 60"), script(t, dir, "b", "echo > "+mark)}
	var out bytes.Buffer
	status := setup("bootsetup", args, nil, &out, &out, func(s *settings) { s.boss, s.signals = boss, signals })
	if _, err := os.Stat(mark); status != 143 || err == nil {
		t.Errorf("exit %d, second script ran: %v\n%s", status, err == nil, &out)
	}
	if got := strings.Join(boss.asked(), ", "); got != "state SHUTDOWN, bootlog, booterrno 143" {
		t.Errorf("told %s", got)
	}
}

// TestFolder: programs run by name, a failure ends a boot but no shutdown.
func TestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	scripts := filepath.Join(dir, "boot.d")
	if err := os.Mkdir(scripts, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"30-c", "10-a", "20-b", ".hidden", "15-x~"} {
		text := "echo $(basename $0) $1"
		if name == "20-b" {
			text += "; exit 4"
		}
		script(t, scripts, name, text)
	}
	if err := os.WriteFile(filepath.Join(scripts, "12-readme"), []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		folder, action, want string
		status               int
	}{
		{scripts, "boot", "10-a boot,20-b boot", 4},
		{scripts, "reboot", "10-a reboot,20-b reboot", 4},
		{scripts, "shutdown", "10-a shutdown,20-b shutdown,30-c shutdown", 4},
		{filepath.Join(dir, "none"), "boot", "", 127},
	} {
		boss := &fakeBoss{}
		var out, errs bytes.Buffer
		status := setup("bootsetup", []string{"-o", dir, "-d", c.folder, c.action}, nil, &out, &errs, func(s *settings) { s.boss = boss })
		var ran []string
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "bootsetup: ") {
				ran = append(ran, strings.TrimSpace(line))
			}
		}
		if got := strings.Join(ran, ","); got != c.want || status != c.status {
			t.Errorf("%s: ran %s, exit %d, want %s, %d; %s", c.action, got, status, c.want, c.status, &errs)
		}
		if told := boss.asked(); told[len(told)-1] == "state TBFAILED" != (c.action != "shutdown") {
			t.Errorf("%s: told %q", c.action, told)
		}
	}
}
