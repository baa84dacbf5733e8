package tmcc

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hyzer/netsvc/tmc2"
	"hyzer/netsvc/tmcd"
	"hyzer/storage/registry"
)

func (s *sinkEffects) Report(_ context.Context, node, _ string, states ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, node+" "+strings.Join(states, ","))
	return nil
}

// TestUDP asks the real server with -u: empty answers come at once, and what UDP
// does not carry comes over TCP.
func TestUDP(t *testing.T) {
	t.Parallel()
	port, effects := startServerWith(t, func(_ *tmcd.Config, site *registry.SiteFile) {
		site.Projects = []registry.Project{{ID: "p"}}
		site.Experiments = []registry.Experiment{{Project: "p", ID: "e"}}
		site.Reservations = []registry.Reservation{{Node: "n1", Experiment: "p/e", VName: "a"}}
		for i := range 200 {
			site.Experiments[0].Environment = append(site.Experiments[0].Environment, registry.Setting{Name: fmt.Sprint("V", i), Value: strings.Repeat("x", 100)})
		}
	})
	root := t.TempDir()
	for _, tc := range []struct {
		words string
		want  string // the reply, or its length
		exit  int
	}{
		{"nodeid", "n1\n", 0},
		{"state ISUP", "", 0},
		{"nonsense", "", 10},
		{"-n nobody nodeid", "", 30},
		{"state", "", 11},
		{"userenv", "21090", 0},          // over 8 KiB
		{"ntpinfo", "SERVER=ntp1.\n", 0}, // TCP only
		{"-v 40 nodeid", "n1\n", 0},
		{"--legacy nodeid", "n1\n", 0},
		{"hostkeys " + strings.Repeat("x", 1200), "", 11}, // too long a request
	} {
		env := map[string]string{"HYZER_BIND": "127.0.1.1"}
		n := node{root: root, env: func(key string) string { return env[key] }}
		var stdout, stderr bytes.Buffer
		args := append([]string{"-u", "-t", "60", "-s", "127.0.0.1", "-p", strconv.Itoa(int(port)), "--exit-status"}, strings.Fields(tc.words)...)
		exit := n.main(context.Background(), args, &stdout, &stderr)
		if got := stdout.String(); exit != tc.exit || got != tc.want && strconv.Itoa(len(got)) != tc.want {
			t.Errorf("tmcc %.60v: exit %d, %d bytes, %.40q, %s; want %d, %q", args, exit, len(got), got, &stderr, tc.exit, tc.want)
		}
	}
	if got := strings.Join(effects.states, "; "); got != "n1 ISUP" {
		t.Errorf("states %q", got)
	}
	if marks, err := filepath.Glob(filepath.Join(root, legacyDir, "tmc2-*")); err != nil || len(marks) != 1 {
		t.Errorf("remembered %q, %v", marks, err)
	}
}

// TestUDPInText: a server that answers text only is asked so after a moment;
// one that has answered a TMC2 datagram in this boot never is.
func TestUDPInText(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	framedToo := make(chan bool, 1) // whether datagrams are answered
	asked := make(chan string, 1)   // the first text
	go func() {
		buf := make([]byte, 2048)
		answers := false
		for {
			n, peer, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			select {
			case answers = <-framedToo:
			default:
			}
			d, err := tmc2.DecodeDatagram(buf[:n])
			switch {
			case err != nil && !answers:
				select {
				case asked <- string(buf[:n]):
				default:
				}
				_, _ = conn.WriteToUDPAddrPort([]byte("in text\n"), peer)
			case err == nil && answers:
				d.Flags, d.Payload = tmc2.FlagAnswer, []byte("framed\n")
				_, _ = conn.WriteToUDPAddrPort(tmc2.AppendDatagram(nil, &d), peer)
			}
		}
	}()
	n := node{root: t.TempDir(), env: func(string) string { return "" }}
	id := n.root + bootIDFile
	if err := os.MkdirAll(filepath.Dir(id), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(id, []byte("00000000-0000-0000-0000-000000000001\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)
	ask := func(want string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		exit := n.main(context.Background(), []string{"-u", "-t", "60", "-s", "127.0.0.1", "-p", port, "status"}, &stdout, &stderr)
		if exit != 0 || stdout.String() != want {
			t.Errorf("exit %d, %q, %s; want %q", exit, &stdout, &stderr, want)
		}
	}
	ask("in text\n")
	if got := <-asked; got != "VERSION=44 status " {
		t.Errorf("asked %q", got)
	}
	framedToo <- true
	ask("framed\n")
	ask("framed\n")
	if !n.marked(n.framedMark(conn.LocalAddr().(*net.UDPAddr).AddrPort()), n.bootID()) {
		t.Error("the server is not remembered")
	}
}

// TestDelegate prints a key for a virtual node, with which the node proves who
// it is.
func TestDelegate(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdef"
	port, _ := startServerWith(t, func(_ *tmcd.Config, site *registry.SiteFile) {
		site.Types[0].Attributes = map[string]string{tmcd.AttributePolicy: "auth-always"}
		site.Nodes[0].WideAreaKey = key
		site.Nodes = append(site.Nodes, registry.Node{ID: "vm1", Type: "t", Host: "n1"})
	})
	env := map[string]string{"HYZER_BIND": "127.0.1.1"}
	run := func(root string, args ...string) (exit int, out string) {
		n := node{root: root, env: func(key string) string { return env[key] }}
		var stdout, stderr bytes.Buffer
		exit = n.main(context.Background(), args, &stdout, &stderr)
		return exit, stdout.String() + stderr.String()
	}
	where := []string{"-s", "127.0.0.1", "-p", strconv.Itoa(int(port)), "-t", "60", "--exit-status"}
	host, guest, stranger := t.TempDir(), t.TempDir(), t.TempDir()
	putFile(t, filepath.Join(host, keyFileDefault), []byte(key+"\n"))
	exit, line := run(host, "--delegate", "vm1")
	if exit != 0 || line != "vm1 "+tmc2.VNodeKey(key, "vm1")+"\n" {
		t.Fatalf("exit %d, %q", exit, line)
	}
	putFile(t, filepath.Join(guest, vnodeKeyFile), []byte(line))
	for _, tc := range []struct {
		name, root, words string
		exit              int
	}{
		{"the host", host, "nodeid", 0}, {"the host for its virtual node", host, "-n vm1 nodeid", 0},
		{"the virtual node", guest, "-n vm1 nodeid", 0}, {"the virtual node as its host", guest, "nodeid", 23},
		{"no key", stranger, "nodeid", 23}, {"no key to delegate", stranger, "--delegate vm1", 255},
	} {
		if exit, out := run(tc.root, append(where, strings.Fields(tc.words)...)...); exit != tc.exit {
			t.Errorf("%s: exit %d, want %d: %s", tc.name, exit, tc.exit, out)
		}
	}
}
