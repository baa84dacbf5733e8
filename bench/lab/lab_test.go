package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
const testTimeout = 3 * time.Minute

// imageFor makes a small image of some chunks, of files that compress well and
// files that do not.
func imageFor(t *testing.T, slice bool) *site.Image {
	t.Helper()
	files := t.TempDir()
	for i := range 60 {
		data := []byte(strings.Repeat(fmt.Sprintf("file %d of a disk that nodes load\n", i), 1000+i*53))
		if i%2 == 0 {
			_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(data) // never fails
		}
		if err := os.WriteFile(filepath.Join(files, fmt.Sprintf("file%02d", i)), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return imageOf(t, site.ImageOptions{Files: files, ContentBytes: 4 << 20, DiskBytes: 32 << 20, Slice: slice})
}

func imageOf(t *testing.T, o site.ImageOptions) *site.Image {
	t.Helper()
	o.Dir = t.TempDir()
	m, err := site.MakeImage(t.Context(), o)
	if errors.Is(err, site.ErrNoTools) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// start runs a lab until the test is over, and shows what its nodes did if the
// test failed.
func start(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	o.Dir, o.Log = t.TempDir(), testLog()
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

// testLog shows everything if HYZER_TEST_LOG is set.
func testLog() *slog.Logger {
	if os.Getenv("HYZER_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func dump(t *testing.T, l *lab.Lab) {
	for _, n := range l.Nodes {
		for _, e := range n.Timeline() {
			t.Logf("%s %s life %d %s: %s", e.At.Format("15:04:05.000"), e.Node, e.Life, e.Phase, e.Text)
		}
	}
}

// fast takes the waiting out of a machine.
func fast(_ int, cfg *vnode.Config) {
	cfg.Timing = vnode.Timing{Reset: 50 * time.Millisecond, Alive: time.Second, Progress: 20 * time.Millisecond}
}

var linuxStd = []registry.Ref{registry.HeadRef(registry.OpsProject, "LINUX-STD")}

// load loads every node and returns their fates when all are decided.
func load(t *testing.T, l *lab.Lab, request control.LoadRequest) map[string]registry.LoadNode {
	t.Helper()
	if request.Images == nil {
		request.Images = linuxStd
	}
	request.Nodes, request.WaitBoot, request.By = l.Site.Names(), true, "test"
	state, err := l.Load(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return fates(t, l, state.Job.ID)
}

func fates(t *testing.T, l *lab.Lab, job string) map[string]registry.LoadNode {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	err := l.Control.Stream(ctx, http.MethodGet, "/v1/loads/"+job+"/follow", nil, func([]byte) error { return nil })
	if err != nil {
		t.Errorf("following job %s: %v", job, err)
	}
	var state control.LoadState
	if err := l.Control.Call(t.Context(), http.MethodGet, "/v1/loads/"+job, nil, &state); err != nil {
		t.Fatal(err)
	}
	byName := map[string]registry.LoadNode{}
	for _, n := range state.Nodes {
		byName[n.Node] = n
	}
	return byName
}

func wantDone(t *testing.T, fates map[string]registry.LoadNode, nodes ...string) {
	t.Helper()
	for _, id := range nodes {
		if n := fates[id]; n.Result != registry.LoadDone {
			t.Errorf("node %s: %q in state %q: %s", id, n.Result, n.State, n.Reason)
		}
	}
}

// awaitPhase waits until nodes are in a phase.
func awaitPhase(t *testing.T, nodes []*vnode.Node, phase vnode.Phase) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	defer cancel()
	for _, n := range nodes {
		if _, err := n.Await(ctx, phase); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLoad loads nodes that were off with dirty disks, and compares the disks
// with what the image was made of.
func TestLoad(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		slice  bool
		zero   int
		offset int64 // of the image on the disk
		full   bool  // fullconfig
		disk   int64 // bytes
	}{
		{"whole disk", false, 0, 0, false, 34 << 20},
		{"whole disk, free space zeroed", false, 1, 0, true, 34 << 20},
		{"whole disk wiped first", false, 2, 0, false, 34 << 20},
		{"slice", true, 0, 1 << 20, true, 72 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			image := imageFor(t, test.slice)
			l := start(t, lab.Options{Nodes: 3, Reserved: -1, Image: image, DiskBytes: test.disk, Node: func(i int, cfg *vnode.Config) {
				fast(i, cfg)
				cfg.FullConfig, cfg.FetchMFS = test.full, true
				soil(t, cfg.DiskPath, cfg.DiskBytes)
			}})
			wantDone(t, load(t, l, control.LoadRequest{ZeroFree: test.zero}), l.Site.Names()...)
			awaitPhase(t, l.Nodes, vnode.PhaseUp)
			for i := range l.Nodes {
				if err := image.VerifyFile(l.DiskPath(i), test.offset); err != nil {
					t.Error(err)
				}
				if test.zero > 0 {
					wantZeroFilled(t, l, image, i, test.disk)
				}
			}
			checkReplies(t, l)
		})
	}
}

// soil fills a disk with what is no image.
func soil(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.WriteFile(path, bytes.Repeat([]byte{0xa5}, int(size)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantZeroFilled(t *testing.T, l *lab.Lab, image *site.Image, node int, diskBytes int64) {
	t.Helper()
	want, err := image.ZeroFilledSHA256(diskBytes, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := site.DiskSHA256(l.DiskPath(node)); err != nil || got != want {
		t.Errorf("disk %d has sum %s, want %s: %v", node, got, want, err)
	}
}

// checkReplies looks at what tmcd told the system of each node.
func checkReplies(t *testing.T, l *lab.Lab) {
	t.Helper()
	for i, n := range l.Nodes {
		replies := n.Replies()
		for command, want := range map[string]string{
			"status":     fmt.Sprintf("ALLOCATED=%s NICKNAME=node%d\n", site.Experiment, i),
			"startupcmd": "CMD='/proj/testbed/start.sh' UID=alice\n",
			"isalive":    "UPDATE=0\n",
		} {
			if replies[command] != want {
				t.Errorf("%s: %s is %q, want %q", n.Name(), command, replies[command], want)
			}
		}
		for command, part := range map[string]string{
			"accounts": "ADDUSER LOGIN=alice ", "hostnames": "NAME=node0-lan0 IP=10.77.0.10 ",
			"ifconfig": fmt.Sprintf("INET=10.77.0.%d ", 10+i), "mounts": "REMOTE=fs:/q/proj/testbed LOCAL=/proj/testbed",
		} {
			if !strings.Contains(replies[command], part) {
				t.Errorf("%s: %s is %q, want %q in it", n.Name(), command, replies[command], part)
			}
		}
	}
}

// TestBootFails has one node of three fail to configure itself: the load ends
// for all, and the log of what it did is on the appliance.
func TestBootFails(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Nodes: 3, Reserved: -1, Image: imageFor(t, false), Node: func(i int, cfg *vnode.Config) {
		fast(i, cfg)
		if i == 1 {
			cfg.FailAt = "tbsetup"
		}
	}})
	got := load(t, l, control.LoadRequest{})
	wantDone(t, got, "pc1", "pc3")
	if n := got["pc2"]; n.Result != registry.LoadFailed || n.State != "TBFAILED" || n.Errno != 1 {
		t.Errorf("pc2: %+v", n)
	}
	var boots []control.BootLog
	if err := l.Control.Call(t.Context(), http.MethodGet, "/v1/nodes/pc2/boots", nil, &boots); err != nil || len(boots) == 0 {
		t.Fatalf("boot logs of pc2: %v, %v", boots, err)
	}
	var log bytes.Buffer
	if err := l.Control.Copy(t.Context(), http.MethodGet, "/v1/nodes/pc2/boot", nil, &log); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"reported TBSETUP", "ADDUSER LOGIN=alice", "*** rc.bootsetup: mounting fs:/q/proj/testbed: connection timed out"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("%q is not in the log:\n%s", part, log.String())
		}
	}
}

// TestPowerCut cuts the power of a node in the middle of its load and turns it
// on again: it loads from the start, and what is on its disk is right.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	image := imageFor(t, false)
	l := start(t, lab.Options{Nodes: 2, Reserved: -1, Image: image, Node: func(i int, cfg *vnode.Config) {
		fast(i, cfg)
		if i == 0 {
			cfg.FailAt = "slowdisk=200000:1"
		}
	}})
	request := control.LoadRequest{Nodes: l.Site.Names(), Images: linuxStd, WaitBoot: true}
	state, err := l.Load(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	victim := l.Nodes[0]
	awaitPhase(t, l.Nodes[:1], vnode.PhaseLoading)
	victim.PowerOff()
	if err := image.VerifyFile(l.DiskPath(0), 0); err == nil {
		t.Error("the load was over before the power was cut")
	}
	size, err := site.DiskSHA256(l.DiskPath(0))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := site.DiskSHA256(l.DiskPath(0)); again != size || err != nil {
		t.Errorf("the disk of a node without power changes: %v", err)
	}
	victim.PowerOn()
	wantDone(t, fates(t, l, state.Job.ID), l.Site.Names()...)
	for i := range l.Nodes {
		if err := image.VerifyFile(l.DiskPath(i), 0); err != nil {
			t.Error(err)
		}
	}
}

// TestSeveralImages loads two images after each other, with a loader of today
// and with one that reboots by itself when it is done.
func TestSeveralImages(t *testing.T) {
	t.Parallel()
	image := imageFor(t, false)
	l := start(t, lab.Options{Nodes: 2, Reserved: -1, Image: image, Node: func(i int, cfg *vnode.Config) {
		fast(i, cfg)
		cfg.OldLoader = i == 1
	}})
	twice := append(linuxStd[:1:1], linuxStd...)
	wantDone(t, load(t, l, control.LoadRequest{Images: twice, Prepare: true}), l.Site.Names()...)
	for i, n := range l.Nodes {
		if err := image.VerifyFile(l.DiskPath(i), 0); err != nil {
			t.Error(err)
		}
		var loads []string
		for _, e := range n.Timeline() {
			if e.Phase == vnode.PhaseLoading {
				loads = append(loads, e.Text[:len("image 1 of 2")])
			}
		}
		if got := strings.Join(loads, ", "); got != "image 1 of 2, image 2 of 2" {
			t.Errorf("%s loaded %s", n.Name(), got)
		}
		// On, and then off and on if the loader does not reboot by itself.
		if want := []int{3, 1}[i]; l.Chassis.Orders(n.Name()) != want {
			t.Errorf("%s: %d power orders, want %d", n.Name(), l.Chassis.Orders(n.Name()), want)
		}
	}
	noInvalid(t, l)
}

// nodeNow is a node as the appliance shows it.
func nodeNow(t *testing.T, l *lab.Lab, name string) control.Node {
	t.Helper()
	var raw json.RawMessage
	if err := l.Control.Call(t.Context(), http.MethodGet, "/v1/nodes/"+name, nil, &raw); err != nil {
		t.Fatal(err)
	}
	var n control.Node
	if err := json.Unmarshal(raw, &n); err != nil {
		t.Fatal(err)
	}
	return n
}
