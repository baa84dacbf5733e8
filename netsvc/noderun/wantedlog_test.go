package noderun

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/tmcc/framed"
)

// TestWantedLogIsSent: on a wish the newest log of a boot goes out, again if it
// does not arrive; without one there is a note.
func TestWantedLogIsSent(t *testing.T) {
	t.Parallel()
	v := testVitals(t)
	for _, c := range []struct {
		name  string
		files []string // oldest first
		want  string
		note  string
	}{
		{"one", []string{"bootsetup"}, "bootsetup", "wants the log"},
		{"the newest", []string{"bootsetup", "cdboot", "injail"}, "injail", "wants the log"},
		{"not a virtual node's", []string{"bootsetup", "vnodesetup-vm1"}, "bootsetup", "wants the log"},
		{"none", nil, "", errNoLog.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for i, name := range c.files {
				path := filepath.Join(folder, name+".log")
				if err := os.WriteFile(path, []byte("log of "+name), 0o600); err != nil {
					t.Fatal(err)
				}
				at := time.Unix(int64(1e9+i), 0)
				if err := os.Chtimes(path, at, at); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				boss, logs := &watchingBoss{}, 0
				boss.answer = func(_ int, call Call) (string, error) {
					if call.Words[0] == "bootlog" {
						if logs++; logs == 1 {
							return "", errors.New("lost")
						}
					}
					return answers("INTERVAL=10000\n")(0, call)
				}
				boss.watch = func(ctx context.Context, to framed.Notices) error {
					_ = pause(ctx, 100*time.Second)
					to.LogWanted(7)
					<-ctx.Done()
					return context.Cause(ctx)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 1000*time.Second)
				defer cancel()
				var notes bytes.Buffer
				(&watchdog{boss: boss, vitals: v, notes: &notes, logs: folder}).run(ctx)
				if got := strings.Join(boss.files, ", "); c.want != "" && got != "log of "+c.want+", log of "+c.want || c.want == "" && got != "" {
					t.Errorf("sent %q, want twice that of %q", got, c.want)
				}
				if !strings.Contains(notes.String(), c.note) {
					t.Errorf("noted %q, want %q", &notes, c.note)
				}
			})
		})
	}
}

// TestWantedLogWholePath: what a container has kept comes when it is wanted.
func TestWantedLogWholePath(t *testing.T) {
	t.Parallel()
	s, dir := newSite(t), t.TempDir()
	var out bytes.Buffer
	if status := setup("injail", []string{"-o", dir, script(t, dir, "script", "echo fine")}, s.env, &out, &out, nil); status != 0 {
		t.Fatalf("exit %d: %s", status, &out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watching := make(chan struct{}, 1)
	boss := tellingBoss{newClient(s.env, "", ""), watching}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		(&watchdog{boss: boss, vitals: testVitals(t), notes: &out, logs: dir}).run(ctx)
	}()
	<-watching
	if asked := s.server.WantLog("n1"); asked != 1 {
		t.Errorf("asked %d", asked)
	}
	<-s.order.logged
	cancel()
	<-ended
	if got := stamps.ReplaceAllString(s.log("n1"), ""); !strings.Contains(got, "fine\n") {
		t.Errorf("log %q", got)
	}
}

// tellingBoss says when it watches.
type tellingBoss struct {
	client
	watching chan<- struct{}
}

func (b tellingBoss) Watch(ctx context.Context, to framed.Notices) error {
	changed := to.Changed
	to.Changed = func() {
		changed()
		token(b.watching)
	}
	return b.client.Watch(ctx, to)
}
