package vnode

import (
	"io"
	"strings"
	"testing"
	"time"
)

// TestDiskLoaderFails checks what a loader says, and what it does not say, when
// it cannot load.
func TestDiskLoaderFails(t *testing.T) {
	t.Parallel()
	line := "ADDR= PART=0 SERVER=127.0.0.1 ZFILL=0 PREPARE=0 IMAGEID=p,g,i PATH=/x\n"
	for _, test := range []struct {
		name, fault, loadinfo string
		log                   string
		want                  []string
	}{
		{"nothing to load", "", "", "there is nothing to load", []string{"state RELOADSETUP", "loadinfo", "loadinfo", "bootlog"}},
		{"garbage", "", "hello\n", `word "hello"`, []string{"state RELOADSETUP", "loadinfo", "loadinfo", "bootlog"}},
		{"too old", "", "ADDR=/NEWER-MFS-NEEDED PART=0\n", "newer disk loader", []string{"state RELOADSETUP", "loadinfo", "loadinfo", "bootlog"}},
		{"injected", "loadinfo", line, "loadinfo: no answer", []string{"state RELOADSETUP", "bootlog"}},
		{"no such address", "", strings.Replace(line, "ADDR=", "ADDR=http://x/", 1), "only multicast addresses", []string{"state RELOADSETUP", "loadinfo", "state RELOADING", "bootlog"}},
		{"nobody sends", "", strings.Replace(line, "ADDR=", "ADDR=127.0.0.1:9", 1), "", []string{"state RELOADSETUP", "loadinfo", "state RELOADING", "bootlog"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, port := serveTMCD(t, map[string]string{"loadinfo": test.loadinfo})
			n := testNode(t, func(c *Config) {
				c.Server.TMCD, c.FailAt = port, test.fault
				c.Timing.JoinTimeout = 50 * time.Millisecond
			})
			run(t, n, diskLoader)
			await(t, n, PhaseFailed)
			f.wantCommands(t, test.want...)
			if log := f.body("bootlog"); !strings.Contains(log, "*** ") || !strings.Contains(log, test.log) {
				t.Errorf("the log says %q, want %q", log, test.log)
			}
		})
	}
}

// replies is a tmcd that knows the node.
func replies() map[string]string {
	return map[string]string{
		"status":   "ALLOCATED=testbed/demo NICKNAME=node0\n",
		"ifconfig": "INTERFACE IFACETYPE=ixgbe INET=10.1.1.2 MASK=255.255.255.0 MAC=0200aa000111 SPEED=1000Mbps DUPLEX=full IFACE= RTABID=0 LAN=link0 MTU=\n",
		"accounts": "ADDGROUP NAME=testbed GID=6001\nADDUSER LOGIN=alice PSWD=* UID=20001 GID=6001 ROOT=1 NAME=\"Alice\" HOMEDIR=/users/alice GLIST=\"\" SERIAL=1 EMAIL=\"\" SHELL=bash\n",
		"mounts":   "FSTYPE=NFS TRANSPORT=osdefault\nREMOTE=fs:/q/proj/testbed LOCAL=/proj/testbed\n",
	}
}

var allSetup = []string{"state TBSETUP", "status", "ifconfig", "accounts", "mounts", "hostnames", "routing", "localization", "rpms", "tarballs", "startupcmd"}

// TestSystem follows the system's boot to its last report, or to where it
// fails.
func TestSystem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, fault, status string
		phase               Phase
		want                []string
	}{
		{"up", "", "", PhaseUp, append(allSetup[:len(allSetup):len(allSetup)], "state ISUP")},
		{"free", "", "FREE\n", PhaseUp, []string{"state TBSETUP", "status", "state ISUP"}},
		{"unknown to tmcd", "", "\n", PhaseFailed, []string{"state TBSETUP", "status", "bootlog", "booterrno 1", "state TBFAILED"}},
		{"mounts fail", "tbsetup", "", PhaseFailed, append(allSetup[:5:5], "bootlog", "booterrno 1", "state TBFAILED")},
		{"silent at the end", "isup", "", PhaseFailed, allSetup},
		{"hangs", "hang@tbsetup", "", PhaseHung, allSetup[:5]},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			answers := replies()
			if test.status != "" {
				answers["status"] = test.status
			}
			f, port := serveTMCD(t, answers)
			n := testNode(t, func(c *Config) { c.Server.TMCD, c.FailAt = port, test.fault })
			run(t, n, system)
			await(t, n, test.phase)
			f.wantCommands(t, test.want...)
			if test.name == "mounts fail" {
				log := f.body("bootlog")
				for _, part := range []string{"ADDUSER LOGIN=alice", "*** rc.bootsetup: mounting fs:/q/proj/testbed: connection timed out"} {
					if !strings.Contains(log, part) {
						t.Errorf("%q is not in the log:\n%s", part, log)
					}
				}
			}
		})
	}
}

func TestAdminMFS(t *testing.T) {
	t.Parallel()
	f, port := serveTMCD(t, nil)
	n := testNode(t, func(c *Config) { c.Server.TMCD = port })
	run(t, n, adminMFS)
	await(t, n, PhaseUp)
	f.wantCommands(t, "state MFSSETUP", "state ISUP")
}

// TestPower switches a node that hears nothing from anybody.
func TestPower(t *testing.T) {
	t.Parallel()
	n := testNode(t, func(c *Config) {
		c.Server.DHCP, c.FailAt = 9, "hang@dhcp"
	})
	for life := 1; life <= 3; life++ {
		n.PowerOn()
		n.PowerOn()
		if e := await(t, n, PhaseHung); e.Life != life {
			t.Errorf("life %d, want %d", e.Life, life)
		}
		if !n.IsOn() {
			t.Error("the node is off")
		}
		n.PowerOff()
		n.PowerOff()
		if last := n.Last(); n.IsOn() || last.Phase != PhaseOff {
			t.Errorf("on=%v, last %+v", n.IsOn(), last)
		}
	}
	if got := len(n.Timeline()); got != 9 {
		t.Errorf("%d events, want power, hang and off in each life", got)
	}
}

// TestPowerCutMidway cuts the power of a node that waits for an offer: it ends
// at once, and the node says nothing afterwards.
func TestPowerCutMidway(t *testing.T) {
	t.Parallel()
	n := testNode(t, func(c *Config) {
		c.Server.DHCP = 9
		c.Timing.DHCPTries = []time.Duration{time.Hour}
	})
	n.PowerOn()
	await(t, n, PhaseDHCP)
	n.PowerOff()
	events := n.Timeline()
	if last := events[len(events)-1]; last.Phase != PhaseOff {
		t.Errorf("the last event is %+v", last)
	}
}

// TestTimelineBound fills a timeline.
func TestTimelineBound(t *testing.T) {
	t.Parallel()
	n := testNode(t, nil)
	for i := range 5 * timelineEventsMax {
		n.event(Event{Phase: PhaseDHCP, Bytes: int64(i)})
		n.event(Event{Phase: PhaseLoading, Progress: true})
	}
	events := n.Timeline()
	if len(events) > timelineEventsMax || events[len(events)-1].Bytes != 5*timelineEventsMax-1 || n.Last().Phase != PhaseLoading {
		t.Errorf("%d events, last %+v, now %+v", len(events), events[len(events)-1], n.Last())
	}
}

// TestReplyBound stops a tmcd that never ends.
func TestReplyBound(t *testing.T) {
	t.Parallel()
	var l limited
	n, err := io.Copy(&l, io.LimitReader(endless{}, 2*replyBytesMax))
	if err == nil || n > replyBytesMax {
		t.Errorf("%d bytes were taken, %v", n, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestBootLogBound fills a console.
func TestBootLogBound(t *testing.T) {
	t.Parallel()
	for _, line := range []int{10, 1000, 40000} {
		var l bootLog
		for range 2*bootLogBytesMax/line + 2 {
			l.line("%s", strings.Repeat("x", line))
		}
		text := string(l.bytes())
		if len(text) > bootLogBytesMax || strings.Count(text, bootLogFull) != 1 || !strings.HasSuffix(text, bootLogFull) {
			t.Errorf("lines of %d: %d bytes, ends with %q", line, len(text), text[len(text)-30:])
		}
	}
}
