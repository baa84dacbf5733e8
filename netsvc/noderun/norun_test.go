package noderun

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNothingRuns: a boot whose programs are not there, cannot be started or are
// killed has failed, and says so: nobody waits for a time-out.
func TestNothingRuns(t *testing.T) {
	t.Parallel()
	type main = func(args []string, env func(string) string, stdout, stderr io.Writer, change func(*settings)) int
	boot := func(name string) main {
		return func(args []string, env func(string) string, stdout, stderr io.Writer, change func(*settings)) int {
			return setup(name, args, env, stdout, stderr, change)
		}
	}
	for _, c := range []struct {
		name   string
		main   main
		args   string // DIR is a folder with the file "plain", which is no program
		status int
		order  string
	}{
		{"bootsetup without a folder", boot("bootsetup"), "-d DIR/none", 127, "n1 state TBSETUP\nn1 log\nn1 errno 127\nn1 state TBFAILED"},
		{"bootsetup of nothing", boot("bootsetup"), "boot DIR/none", 127, "n1 state TBSETUP\nn1 log\nn1 errno 127\nn1 state TBFAILED"},
		{"bootsetup of no program", boot("bootsetup"), "DIR/plain", 126, "n1 state TBSETUP\nn1 log\nn1 errno 126\nn1 state TBFAILED"},
		{"bootsetup is killed", boot("bootsetup"), "DIR/killed", 137, "n1 state TBSETUP\nn1 log\nn1 errno 137\nn1 state TBFAILED"},
		{"bootsetup, the second fails", boot("bootsetup"), "boot DIR/good DIR/killed DIR/good", 137, "n1 state TBSETUP\nn1 log\nn1 errno 137\nn1 state TBFAILED"},
		{"injail of nothing", boot("injail"), "DIR/none", 127, "n1 state TBSETUP\nn1 errno 127\nn1 state TBFAILED"},
		{"vnodesetup of nothing", vnodeSetup, "vm1 DIR/none", 127, "vm1 log\nvm1 errno 127\nvm1 state TBFAILED"},
		{"vnodesetup is killed", vnodeSetup, "vm1 DIR/killed", 137, "vm1 log\nvm1 errno 137\nvm1 state TBFAILED"},
		{"cdboot of nothing", cdBoot, "DIR/none", 127, "n1 log\nn1 state PXEFAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, dir := newSite(t), t.TempDir()
			script(t, dir, "killed", "kill -9 $$")
			script(t, dir, "good", "echo good >> "+filepath.Join(dir, "ran"))
			putLine(t, filepath.Join(dir, "plain"), "no program")
			args := strings.Fields(strings.ReplaceAll("-o DIR/logs "+c.args, "DIR", dir))
			var out bytes.Buffer
			if status := c.main(args, s.env, &out, &out, func(s *settings) { s.grace = time.Second }); status != c.status {
				t.Errorf("exit %d, want %d: %s", status, c.status, &out)
			}
			if got := s.order.String(); got != c.order {
				t.Errorf("told\n%s\nwant\n%s", got, c.order)
			}
			if strings.Contains(c.args, "good") && readLines(t, filepath.Join(dir, "ran")) != 1 {
				t.Error("what came after the failure was run")
			}
		})
	}
}

func putLine(t *testing.T, path, line string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(line+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readLines(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}
