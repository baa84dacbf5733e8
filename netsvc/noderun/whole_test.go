package noderun

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/journal"
)

// stamps are the times of lines.
var stamps = regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z `)

// TestWholePath runs each boot runner with real scripts against the real
// server and its store.
func TestWholePath(t *testing.T) {
	t.Parallel()
	const failing = "echo begin $1; echo to stderr >&2; head -c 100000 /dev/zero | tr '\\0' x; echo; echo the cause; exit 7"
	type main = func(args []string, env func(string) string, stdout, stderr io.Writer, change func(*settings)) int
	named := func(name string) main {
		return func(args []string, env func(string) string, stdout, stderr io.Writer, change func(*settings)) int {
			return setup(name, args, env, stdout, stderr, change)
		}
	}
	for _, c := range []struct {
		name   string
		main   main
		args   string // SCRIPT is the script
		script string
		status int
		order  string
		log    string // node that has the script's output whole in its log
		final  string // "node state errno"
	}{
		{"bootsetup fails", named("bootsetup"), "boot SCRIPT", failing, 7, "n1 state TBSETUP\nn1 log\nn1 errno 7\nn1 state TBFAILED", "n1", "n1 TBFAILED 7"},
		{"bootsetup", named("bootsetup"), "SCRIPT", "echo $1", 0, "n1 state TBSETUP", "", "n1 TBSETUP 0"},
		{"bootsetup -isup", named("bootsetup"), "-isup reconfig SCRIPT", "exit 0", 0, "n1 state TBSETUP\nn1 state ISUP", "", "n1 ISUP 0"},
		{"shutdown fails", named("bootsetup"), "shutdown SCRIPT", failing, 7, "n1 state SHUTDOWN\nn1 log\nn1 errno 7", "n1", "n1 SHUTDOWN 7"},
		{"injail fails", named("injail"), "boot SCRIPT", failing, 7, "n1 state TBSETUP\nn1 errno 7\nn1 state TBFAILED", "", "n1 TBFAILED 7"},
		{"vnodesetup fails", vnodeSetup, "vm1 SCRIPT boot", failing, 7, "vm1 log\nvm1 errno 7\nvm1 state TBFAILED", "vm1", "vm1 TBFAILED 7"},
		{"vnodesetup is late", vnodeSetup, "-t 50ms vm1 SCRIPT", "sleep 60", 124, "vm1 log\nvm1 errno 124\nvm1 state TBFAILED", "", "vm1 TBFAILED 124"},
		{"vnodesetup", vnodeSetup, "vm1 SCRIPT", "exit 0", 0, "", "", ""},
		{"cdboot", cdBoot, "SCRIPT", "echo fine", 0, "n1 log", "n1", ""},
		{"cdboot fails", cdBoot, "SCRIPT boot", failing, 7, "n1 log\nn1 state PXEFAILED", "n1", "n1 PXEFAILED 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, dir := newSite(t), t.TempDir()
			args := strings.Fields("-o " + dir + " " + c.args)
			for i := range args {
				args[i] = strings.Replace(args[i], "SCRIPT", script(t, dir, "script", c.script), 1)
			}
			var stdout, stderr bytes.Buffer
			status := c.main(args, s.env, &stdout, &stderr, func(s *settings) { s.grace = 100 * time.Millisecond })
			if status != c.status || stderr.Len() > 0 {
				t.Errorf("exit %d, want %d; %s", status, c.status, &stderr)
			}
			if got := s.order.String(); got != c.order {
				t.Errorf("told\n%s\nwant\n%s", got, c.order)
			}
			if c.log != "" {
				got := s.log(c.log)
				if plain := stamps.ReplaceAllString(got, ""); plain != stdout.String() {
					t.Errorf("log of %d bytes is not the console's %d bytes", len(plain), stdout.Len())
				}
				if lines := strings.Count(got, "\n"); lines != len(stamps.FindAllString(got, -1)) {
					t.Errorf("%d lines, %d times", lines, len(stamps.FindAllString(got, -1)))
				}
				if c.script == failing && !strings.Contains(got, "the cause\n") {
					t.Errorf("log ends %q", got[max(0, len(got)-200):])
				}
			}
			if node, state, ok := strings.Cut(c.final, " "); ok {
				snap := s.reg.Snapshot()
				errno := 0
				if run := snap.Runtime(node); run != nil {
					errno = run.BootErrno
				}
				if got := snap.State(node).State + " " + itoa(errno); got != state {
					t.Errorf("%s is %s, want %s", node, got, state)
				}
			}
		})
	}
}

// TestKeptLogIsSentByNextRun: the appliance is away for one boot.
func TestKeptLogIsSentByNextRun(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	bad := script(t, dir, "bad", "echo lost boot; exit 3")
	away := &fakeBoss{answer: func(int, Call) (string, error) { return "", io.ErrUnexpectedEOF }}
	var out bytes.Buffer
	// What is told, and how often, is for the tests in virtual time.
	j, err := journal.New(filepath.Join(dir, "bootsetup.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	p := &programs{out: j, grace: time.Second}
	if e := p.run(bad, "boot"); e.status != 3 {
		t.Fatalf("%+v", e)
	}
	p.close()
	log, onDisk, err := j.Seal()
	if err != nil || !onDisk {
		t.Fatal(err)
	}
	if err := keep(log); err != nil {
		t.Fatal(err)
	}
	(&reporter{boss: away, notes: &out}).sendKept(t.Context(), log)
	if len(away.asked()) != 1 || !strings.Contains(out.String(), "stays") {
		t.Fatalf("asked %q, said %s", away.asked(), &out)
	}
	good := script(t, dir, "good", "exit 0")
	if status := setup("bootsetup", []string{"-o", dir, "boot", good}, s.env, io.Discard, &out, nil); status != 0 {
		t.Fatalf("exit %d: %s", status, &out)
	}
	if got := s.order.String(); got != "n1 state TBSETUP\nn1 log" {
		t.Errorf("told\n%s", got)
	}
	if got := stamps.ReplaceAllString(s.log("n1"), ""); got != "lost boot\n" {
		t.Errorf("log %q", got)
	}
	if status := setup("bootsetup", []string{"-o", dir, "boot", good}, s.env, io.Discard, &out, nil); status != 0 {
		t.Fatalf("exit %d: %s", status, &out)
	}
	if got := s.order.String(); strings.Count(got, "log") != 1 {
		t.Errorf("sent again:\n%s", got)
	}
}
