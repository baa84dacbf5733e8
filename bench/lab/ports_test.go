package lab_test

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"hyzer/bench/lab"
	"hyzer/bench/netns"
	"hyzer/bench/vnode"
	"hyzer/netsvc/appliance"
	"hyzer/netsvc/control"
)

// daemonEnv makes the test binary the appliance with that configuration.
const daemonEnv = "HYZER_LAB_TEST_CONFIG"

func TestMain(m *testing.M) {
	if config := os.Getenv(daemonEnv); config != "" {
		os.Exit(appliance.Main([]string{"-config", config}, os.Stderr))
	}
	os.Exit(m.Run())
}

func daemon(config string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), daemonEnv+"="+config)
	return cmd
}

// startNetwork is start on real ports; it skips where that cannot be.
func startNetwork(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	probe, err := netns.New()
	if errors.Is(err, netns.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the ip command is missing (package iproute2)")
	}
	o.Daemon, o.Namespaces = daemon, true
	return start(t, o)
}

// TestRealPorts boots machines of several kinds by broadcasts, on the real
// ports, and loads them by real multicast.
func TestRealPorts(t *testing.T) {
	t.Parallel()
	image := imageFor(t, false)
	l := startNetwork(t, lab.Options{Nodes: 3, Reserved: -1, Image: image, Node: func(i int, cfg *vnode.Config) {
		fast(i, cfg)
		cfg.Arch = []uint16{0, 7, 11}[i]
		cfg.FetchMFS, cfg.FullConfig = true, i == 0
	}})
	for _, n := range l.Nodes {
		n.PowerOn()
	}
	awaitPhase(t, l.Nodes, vnode.PhaseWait)
	wantDone(t, load(t, l, control.LoadRequest{}), l.Site.Names()...)
	for i := range l.Nodes {
		if err := image.VerifyFile(l.DiskPath(i), 0); err != nil {
			t.Error(err)
		}
	}
	checkReplies(t, l)
	noInvalid(t, l)
	noAddress(t, l, 0)
}

// noAddress turns a node off and expects that its interface is dead with it.
func noAddress(t *testing.T, l *lab.Lab, i int) {
	t.Helper()
	addresses := func() (n int) {
		err := l.Network.Nodes[i].Do(func() error {
			eth, err := net.InterfaceByName(netns.Link)
			if err != nil {
				return err
			}
			list, err := eth.Addrs()
			for _, a := range list {
				if a.(*net.IPNet).IP.To4() != nil {
					n++
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := addresses(); n != 1 {
		t.Errorf("%d addresses while the node is up", n)
	}
	l.Nodes[i].PowerOff()
	if n := addresses(); n != 0 {
		t.Errorf("%d addresses without power", n)
	}
}

// TestCrash kills the appliance while the nodes load and one has a part of the
// image, and starts it again: the nodes finish, and nobody has to do anything.
func TestCrash(t *testing.T) {
	t.Parallel()
	image := imageFor(t, false)
	var mu sync.Mutex
	loading, has := map[string]bool{}, false
	halfway := make(chan struct{})
	l := startNetwork(t, lab.Options{Nodes: 2, Reserved: -1, Image: image, RateMbps: 4, Node: func(i int, cfg *vnode.Config) {
		fast(i, cfg)
		cfg.Timing.Retry, cfg.Timing.MasterRetry = 100*time.Millisecond, 100*time.Millisecond
		cfg.OnPhase = func(e vnode.Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Phase != vnode.PhaseLoading || has && len(loading) == 2 {
				return
			}
			loading[e.Node], has = true, has || e.Bytes > 0
			if has && len(loading) == 2 {
				close(halfway)
			}
		}
	}})
	state, err := l.Load(t.Context(), control.LoadRequest{Nodes: l.Site.Names(), Images: linuxStd, WaitBoot: true})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-halfway:
	case <-time.After(testTimeout):
		t.Fatal("the load does not begin")
	}
	if err := l.KillAppliance(); err != nil {
		t.Fatal(err)
	}
	for _, n := range l.Nodes {
		if last := n.Last(); last.Phase != vnode.PhaseLoading || last.Bytes >= image.ImageBytes {
			t.Errorf("%s: %s with %d of %d bytes", n.Name(), last.Phase, last.Bytes, image.ImageBytes)
		}
	}
	if err := l.StartAppliance(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantDone(t, fates(t, l, state.Job.ID), l.Site.Names()...)
	for i := range l.Nodes {
		if err := image.VerifyFile(l.DiskPath(i), 0); err != nil {
			t.Error(err)
		}
		if lives := l.Nodes[i].Last().Life; lives != 2 {
			t.Errorf("%s booted %d times, want once to load and once after it", l.Nodes[i].Name(), lives)
		}
	}
}
