package mfs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"hyzer/bench/netns"
	"hyzer/bench/netns/netnstest"
)

// blockedBytes of image, in chunks of which each takes its own way.
const blockedBytes = 6 << 20

// TestLoadWhereMulticastIsBlocked: of three nodes one hears no group. Its
// loader has the image by HTTP, by itself; the others have it by multicast, all
// disks are equal, and each log says how it came.
func TestLoadWhereMulticastIsBlocked(t *testing.T) {
	t.Parallel()
	const nodes, blocked = 3, 1
	s := newLoadSite(t, netip.MustParsePrefix("10.97.9.0/24"), nodes, blockedBytes)
	o := netns.Options{Server: netip.PrefixFrom(s.boss, 24)}
	for n := range nodes {
		o.MACs = append(o.MACs, [6]byte{2, 0x48, 0x59, 0, 9, byte(n)})
	}
	network := netnstest.New(t, o)
	for n, node := range network.Nodes {
		netnstest.Command(t, node, fmt.Sprintf("address add %v/24 dev %s\nroute add 224.0.0.0/4 dev %s\n", s.nodes[n], netns.Link, netns.Link), "ip", "-batch", "-")
	}
	netnstest.Command(t, network.Nodes[blocked], "table inet t { chain in { type filter hook input priority 0; ip daddr 224.0.0.0/4 drop; }; }", "nft", "-f", "-")
	s.startIn(t, network.Server)
	s.blankDisks(t)
	var all sync.WaitGroup
	for n, node := range network.Nodes {
		all.Go(func() {
			// None but the one that is blocked may take to HTTP, however slow the machine is.
			after, ways := time.Hour, "chunks_by_http=0 "
			if n == blocked {
				after, ways = 500*time.Millisecond, fmt.Sprintf("chunks_by_http=%d ", s.chunks(t))
			}
			log, err := s.loadIn(node, n, after)
			if err != nil {
				t.Errorf("node %d: %v\n%s", n, err, log)
				return
			}
			if told := strings.Contains(log, "fetching chunks by HTTP"); !strings.Contains(log, ways) || told != (n == blocked) {
				t.Errorf("node %d: no %q in its log, or it does not say why:\n%s", n, ways, log)
			}
			s.loaded(t, n)
		})
	}
	all.Wait()
}

// chunks is how many the image file has.
func (s *loadSite) chunks(t *testing.T) int64 {
	info, err := os.Stat(s.imagePath())
	if err != nil {
		t.Error(err)
		return 0
	}
	return (info.Size() + 1<<20 - 1) >> 20
}

// startIn runs the appliance in a namespace, on the real ports, until the test
// is over.
func (s *loadSite) startIn(t *testing.T, in *netns.Namespace) {
	t.Helper()
	for port, to := range map[uint16]*netip.AddrPort{64494: &s.cfg.Frisbee.Listen, 80: &s.cfg.HTTP.Listen} {
		*to = netip.AddrPortFrom(s.boss, port)
	}
	s.cfg.TMCD.Listen = []netip.AddrPort{netip.AddrPortFrom(s.boss, 7777)}
	text, err := json.Marshal(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(s.dir, "hyzerd.yaml") // as JSON is YAML too
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	var log bytes.Buffer
	cmd.Env, cmd.Stderr = append(os.Environ(), roleEnv+"=appliance "+config), &log
	if err := in.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil || t.Failed() {
			t.Logf("appliance: %v\n%s", err, log.String())
		}
	})
	s.ready(t)
}

// loadIn runs a node's loader in its namespace and returns its log.
func (s *loadSite) loadIn(in *netns.Namespace, n int, fetchAfter time.Duration) (string, error) {
	role, err := json.Marshal(nodeRole{IP: s.nodes[n], Server: s.boss, Disk: s.diskPath(n), FetchAfter: fetchAfter})
	if err != nil {
		return "", err
	}
	var log bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), roleEnv+"=node "+string(role)), &log
	if err := in.Start(cmd); err != nil {
		return "", err
	}
	err = cmd.Wait()
	return log.String(), err
}
