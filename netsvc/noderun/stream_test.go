package noderun

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLogIsSentWhileItGrows: an appliance that takes live logs has all of a
// boot's before it hears the number and the state, and gets it once.
func TestLogIsSentWhileItGrows(t *testing.T) {
	t.Parallel()
	const chatty = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done; echo to stderr >&2; exit "
	for _, c := range []struct {
		name   string
		main   func(args []string, env func(string) string, stdout, stderr io.Writer, change func(*settings)) int
		status int
		order  string // LOG is the length of the log
	}{
		{"bootsetup fails", func(a []string, e func(string) string, o, x io.Writer, ch func(*settings)) int {
			return setup("bootsetup", a, e, o, x, ch)
		}, 7, "n1 state TBSETUP after no log\nn1 errno 7 after LOG\nn1 state TBFAILED after LOG"},
		{"bootsetup", func(a []string, e func(string) string, o, x io.Writer, ch func(*settings)) int {
			return setup("bootsetup", append([]string{"-isup"}, a...), e, o, x, ch)
		}, 0, "n1 state TBSETUP after no log\nn1 state ISUP after LOG"},
		{"cdboot fails", cdBoot, 7, "n1 state PXEFAILED after LOG"},
		{"cdboot", cdBoot, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, dir := newSite(t), t.TempDir()
			s.takeLive()
			var stdout, stderr bytes.Buffer
			args := []string{"-o", dir, script(t, dir, "script", chatty+itoa(c.status))}
			if status := c.main(args, s.env, &stdout, &stderr, nil); status != c.status || stderr.Len() > 0 {
				t.Errorf("exit %d, want %d; %s", status, c.status, &stderr)
			}
			log := s.log("n1")
			if got, want := s.order.String(), strings.ReplaceAll(c.order, "LOG", itoa(len(log))); got != want {
				t.Errorf("told\n%s\nwant\n%s", got, want)
			}
			if plain := stamps.ReplaceAllString(log, ""); plain != stdout.String() || !strings.Contains(plain, "line 299\n") {
				t.Errorf("log of %d bytes is not the console's %d bytes", len(plain), stdout.Len())
			}
			if logs, err := s.logs.List(t.Context(), "n1"); err != nil || len(logs) != 1 {
				t.Errorf("%d logs, %v", len(logs), err)
			}
		})
	}
}

// TestContainersSendNoLog: hundreds of them on one host would send theirs at
// once.
func TestContainersSendNoLog(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	s.takeLive()
	if status := setup("injail", []string{"-o", dir, script(t, dir, "script", "echo x; exit 3")}, s.env, io.Discard, io.Discard, nil); status != 3 {
		t.Errorf("exit %d", status)
	}
	if got, want := s.order.String(), "n1 state TBSETUP after no log\nn1 errno 3 after no log\nn1 state TBFAILED after no log"; got != want {
		t.Errorf("told\n%s\nwant\n%s", got, want)
	}
}

// brokenStream is an appliance that begins to take a log and then fails.
type brokenStream struct{ *fakeBoss }

func (b brokenStream) Stream(context.Context, string) (LogStream, error) { return brokenLog{}, nil }

type brokenLog struct{}

func (brokenLog) Write(p []byte) (int, error) { return len(p), nil }
func (brokenLog) Close(context.Context) error { return fmt.Errorf("lost") }

// TestBrokenStreamIsMadeGood: a log that did not arrive while it grew is sent
// whole, before the number and the state.
func TestBrokenStreamIsMadeGood(t *testing.T) {
	t.Parallel()
	dir, boss := t.TempDir(), &fakeBoss{}
	s := &settings{boss: brokenStream{boss}, logs: filepath.Join(dir, "logs"), console: io.Discard, grace: time.Second}
	if status := s.follow(t.Context(), setupCourse("bootsetup", "boot", false), []task{{script(t, dir, "bad", "echo the cause; exit 3"), nil}}); status != 3 {
		t.Errorf("exit %d", status)
	}
	if got := strings.Join(boss.asked(), ", "); got != "state TBSETUP, bootlog, booterrno 3, state TBFAILED" {
		t.Errorf("told %s", got)
	}
	if len(boss.files) != 1 || !strings.Contains(boss.files[0], "the cause\n") {
		t.Errorf("sent %q", boss.files)
	}
}
