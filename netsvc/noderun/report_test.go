package noderun

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestReportsAreTriedForAWhile: each report is tried at growing pauses, the
// others go on without it, and their order stays.
func TestReportsAreTriedForAWhile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		lost   func(n int, c Call) bool
		want   string
		within time.Duration
		logErr bool
	}{
		{"all arrive", func(int, Call) bool { return false }, "bootlog, booterrno 9, state TBFAILED", 0, false},
		{"the second log arrives", func(n int, _ Call) bool { return n == 0 }, "bootlog, bootlog, booterrno 9, state TBFAILED", time.Second, false},
		{"no log arrives", func(_ int, c Call) bool { return c.File != "" },
			"bootlog, bootlog, bootlog, bootlog, booterrno 9, state TBFAILED", 7 * time.Second, true},
		{"nothing arrives", func(int, Call) bool { return true },
			"bootlog, bootlog, bootlog, bootlog, booterrno 9, booterrno 9, booterrno 9, booterrno 9, " +
				"state TBFAILED, state TBFAILED, state TBFAILED, state TBFAILED", 21 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(log, []byte("text"), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				boss := &fakeBoss{answer: func(n int, call Call) (string, error) {
					if c.lost(n, call) {
						return "", io.ErrUnexpectedEOF
					}
					return "", nil
				}}
				begin := time.Now()
				err := (&reporter{boss: boss, notes: io.Discard}).failed(t.Context(), failure{log, true, 9, "TBFAILED"})
				if got := strings.Join(boss.asked(), ", "); got != c.want || (err != nil) != c.logErr {
					t.Errorf("told %s, %v\nwant %s", got, err, c.want)
				}
				if took := time.Since(begin); took != c.within {
					t.Errorf("took %v, want %v", took, c.within)
				}
			})
		})
	}
}

// TestSlowBossIsGivenUp: tries that each last long end with the report's time.
func TestSlowBossIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		boss := &fakeBoss{answer: func(int, Call) (string, error) {
			time.Sleep(20 * time.Second)
			return "", io.ErrUnexpectedEOF
		}}
		begin := time.Now()
		err := (&reporter{boss: boss, notes: io.Discard}).tell(t.Context(), "", "state", "ISUP")
		if took := time.Since(begin); err == nil || took > reportWithin+20*time.Second || len(boss.asked()) != 2 {
			t.Errorf("%v after %v, tries %d", err, took, len(boss.asked()))
		}
	})
}

// TestUnsentLogIsKept: a boot whose appliance is away runs its scripts all the
// same, returns their status, and keeps the log for the next run.
func TestUnsentLogIsKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		offline bool
		noDisk  bool
	}{{"away", true, false}, {"there", false, false}, {"there, no disk", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			bad := script(t, dir, "bad", "echo the cause; exit 3")
			logs := dir
			if c.noDisk {
				logs = "/proc/nonexistent"
			}
			boss := &fakeBoss{answer: func(_ int, call Call) (string, error) {
				if c.offline {
					return "", io.ErrUnexpectedEOF
				}
				return "", nil
			}}
			// A cancelled context makes each report one try.
			ctx, cancel := contextEnded(t, c.offline)
			defer cancel()
			s := &settings{boss: boss, logs: logs, console: io.Discard, grace: time.Second}
			if status := s.follow(ctx, setupCourse("bootsetup", "boot", false), []task{{bad, nil}}); status != 3 {
				t.Errorf("status %d", status)
			}
			kept, err := os.ReadFile(filepath.Join(logs, "bootsetup.log"+unsentSuffix))
			if c.offline != (err == nil) || c.offline && !bytes.Contains(kept, []byte("the cause\n")) {
				t.Errorf("kept %q, %v", kept, err)
			}
			if !c.offline && (len(boss.files) != 1 || !strings.Contains(boss.files[0], "the cause\n")) {
				t.Errorf("sent %q", boss.files)
			}
		})
	}
}

// TestUsage: a command line that is not understood runs nothing.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, args, want string
		main             func(args []string, in io.Reader, out, errs io.Writer) int
		status           int
	}{
		{"bootsetup", "-x", "usage: bootsetup", BootSetup, statusUsage},
		{"injail", "-h", "usage: injail", InJail, 0},
		{"vnodesetup", "vm1", "usage: vnodesetup", VNodeSetup, statusUsage},
		{"vnodesetup", "../x true", "no name of a node", VNodeSetup, statusUsage},
		{"cdboot", "", "usage: cdboot", CDBoot, statusUsage},
		{"watchdog", "-t", "usage: watchdog", Watchdog, statusUsage},
		{"create-swapimage", "-x", "usage: create-swapimage", CreateSwapImage, 1},
		{"create-swapimage", "word", "usage: create-swapimage", CreateSwapImage, 1},
	} {
		var out, errs bytes.Buffer
		if status := c.main(strings.Fields(c.args), strings.NewReader(""), &out, &errs); status != c.status || !strings.Contains(errs.String(), c.want) {
			t.Errorf("%s %s: exit %d, %q", c.name, c.args, status, &errs)
		}
	}
}

// TestEndlessReply: a server that never stops talking ends the exchange.
func TestEndlessReply(t *testing.T) {
	t.Parallel()
	l := &limitedBuffer{max: 10, ctx: t.Context()}
	if _, err := l.Write([]byte("0123456789")); err != nil {
		t.Error(err)
	}
	if _, err := l.Write([]byte("x")); !errors.Is(err, errTooLong) {
		t.Errorf("%v", err)
	}
}
