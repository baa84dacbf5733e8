package lab_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/bench/lab"
	"hyzer/bench/site"
	"hyzer/bench/vnode"
	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

// testTimeout bounds every wait of these tests, which run on real sockets.
const testTimeout = 90 * time.Second

func imageFor(t *testing.T, slice bool) *site.Image {
	t.Helper()
	files := t.TempDir()
	for i := range 60 {
		text := strings.Repeat(fmt.Sprintf("file %d of a disk that nodes load\n", i), 1000+i*53)
		if err := os.WriteFile(filepath.Join(files, fmt.Sprintf("file%02d", i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := site.MakeImage(t.Context(), site.ImageOptions{Dir: t.TempDir(), Files: files, ContentBytes: 4 << 20, DiskBytes: 32 << 20, Slice: slice})
	if errors.Is(err, site.ErrNoTools) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func start(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	o.Dir = t.TempDir()
	o.Log = testLog(t)
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			dump(t, l)
		}
	})
	return l
}

func testLog(t *testing.T) *slog.Logger {
	if os.Getenv("HYZER_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// dump shows what nodes did.
func dump(t *testing.T, l *lab.Lab) {
	for _, n := range l.Nodes {
		for _, e := range n.Timeline() {
			t.Logf("%s %s life %d %s: %s", e.At.Format("15:04:05.000"), e.Node, e.Life, e.Phase, e.Text)
		}
	}
}

// await waits until every node has reached a state.
func await(t *testing.T, l *lab.Lab, pattern string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	got := map[string]string{}
	request := control.WaitRequest{Nodes: l.Site.Names(), Pattern: pattern, NoFail: true, TimeoutSecs: testTimeout.Seconds()}
	err := l.Control.Stream(ctx, http.MethodPost, "/v1/wait", request, func(line []byte) error {
		var r control.WaitResult
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		got[r.Node] = string(line)
		return nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v", pattern, err)
	}
	return got
}

func TestPowerOnAndLoad(t *testing.T) {
	t.Parallel()
	for _, slice := range []bool{false, true} {
		t.Run(fmt.Sprintf("slice=%v", slice), func(t *testing.T) {
			t.Parallel()
			image := imageFor(t, slice)
			l := start(t, lab.Options{Nodes: 3, Reserved: -1, Image: image, DiskBytes: 80 << 20, Node: fast})
			for _, n := range l.Nodes {
				n.PowerOn()
			}
			t.Log(await(t, l, "PXEWAIT"))
			state, err := l.Load(t.Context(), control.LoadRequest{Nodes: l.Site.Names(), Images: []registry.Ref{registry.HeadRef(registry.OpsProject, "LINUX-STD")}, WaitBoot: true, By: "test"})
			if err != nil {
				t.Fatal(err)
			}
			followed(t, l, state.Job.ID)
			for i, n := range l.Nodes {
				if got := n.Last().Phase; got != vnode.PhaseUp {
					t.Errorf("%s is %s", n.Name(), got)
				}
				offset := int64(0)
				if slice {
					offset = 1 << 20
				}
				if err := image.VerifyFile(l.DiskPath(i), offset); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func fast(_ int, cfg *vnode.Config) {
	cfg.Timing = vnode.Timing{Reset: 50 * time.Millisecond, Alive: time.Second}
}

// followed waits for the end of a job and expects every node to be done.
func followed(t *testing.T, l *lab.Lab, job string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	var last string
	err := l.Control.Stream(ctx, http.MethodGet, "/v1/loads/"+job+"/follow", nil, func(line []byte) error {
		last = string(line)
		return nil
	})
	if err != nil {
		t.Errorf("following job %s: %v; last line %s", job, err, last)
	}
	var state control.LoadState
	if err := l.Control.Call(t.Context(), http.MethodGet, "/v1/loads/"+job, nil, &state); err != nil {
		t.Fatal(err)
	}
	for _, n := range state.Nodes {
		if n.Result != registry.LoadDone {
			t.Errorf("node %s: %s in %s: %s", n.Node, n.Result, n.State, n.Reason)
		}
	}
}
