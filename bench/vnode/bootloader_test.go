package vnode

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/bootinfo"
)

// TestLoaderAnswers gives the loader one answer and looks where it ends.
func TestLoaderAnswers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		reply []bootinfo.Answer // one for each request; the last one for ever
		fail  bool              // status 1
		phase Phase             // where it stays, or
		reset string            // why it resets
		asked int32
	}{
		{"reboot", []bootinfo.Answer{{Type: bootinfo.TypeReboot}}, false, "", "bootinfo says reboot", 1},
		{"auto asks again", []bootinfo.Answer{{Type: bootinfo.TypeAuto}, {Type: bootinfo.TypeAuto}, {Type: bootinfo.TypeReboot}}, false, "", "bootinfo says reboot", 3},
		{"failure boots the disk", []bootinfo.Answer{{}}, true, "", "", 1},
		{"wait", []bootinfo.Answer{{Type: bootinfo.TypeWait}}, false, PhaseWait, "", 1},
		{"partition without a system", []bootinfo.Answer{{Type: bootinfo.TypePart, Partition: 1}}, false, PhaseFailed, "", 1},
		{"disk and partition", []bootinfo.Answer{{Type: bootinfo.TypeDiskPart, Disk: 128, Partition: 1}}, false, PhaseFailed, "", 1},
		{"system id", []bootinfo.Answer{{Type: bootinfo.TypeSysID, Partition: 165}}, false, PhaseFailed, "", 1},
		{"MFS from a name", []bootinfo.Answer{{Type: bootinfo.TypeMFS, Path: "boss:/tftpboot/frisbee"}}, false, PhaseFailed, "", 1},
		{"multiboot", []bootinfo.Answer{{Type: bootinfo.TypeMultiboot, Host: testServer, Path: "/k"}}, false, PhaseFailed, "", 1},
		{"unknown type", []bootinfo.Answer{{Type: 77}}, false, PhaseFailed, "", 1},
		{"restart", []bootinfo.Answer{{Type: bootinfo.TypeRestart}}, false, "", "DHCP: no answer", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f, port := serveBootinfo(t, func(n int) [][]byte {
				if test.fail {
					return [][]byte{packet(t, bootinfo.Packet{Version: 1, Opcode: bootinfo.OpReply, Status: bootinfo.StatusFail})}
				}
				return [][]byte{reply(t, test.reply[min(n, len(test.reply)-1)])}
			})
			n := testNode(t, func(c *Config) {
				c.Server.Bootinfo, c.Server.DHCP = port, 9
				c.Timing.DHCPTries = []time.Duration{20 * time.Millisecond} // after a restart
				if test.reply[0].Type == bootinfo.TypeAuto {
					c.Timing.BootinfoRetry, c.Timing.BootinfoTries = 20*time.Millisecond, 100
				}
			})
			reset := run(t, n, loader)
			if test.phase != "" {
				await(t, n, test.phase)
			} else {
				reset()
				if last := n.Last().Text; !strings.Contains(last, test.reset) {
					t.Errorf("the node ended with %q, want %q", last, test.reset)
				}
			}
			// Who asks again soon may do so before a slow answer comes.
			if asked := f.asked.Load(); asked < test.asked || asked > test.asked && test.asked == 1 {
				t.Errorf("asked %d times, want %d", asked, test.asked)
			}
		})
	}
}

// TestLoaderIsPicky sends everything a loader must not listen to before what it
// must.
func TestLoaderIsPicky(t *testing.T) {
	t.Parallel()
	wait := bootinfo.Answer{Type: bootinfo.TypeWait}
	_, port := serveBootinfo(t, func(int) [][]byte {
		good := reply(t, wait)
		return [][]byte{
			{}, good[:519], append(reply(t, bootinfo.Answer{Type: bootinfo.TypeReboot}), 0),
			packet(t, bootinfo.Packet{Version: 1, Opcode: bootinfo.OpOrder, Answer: bootinfo.Answer{Type: bootinfo.TypeReboot}}),
			packet(t, bootinfo.Packet{Version: 1, Opcode: bootinfo.OpRequest}),
			good,
			reply(t, bootinfo.Answer{Type: bootinfo.TypeReboot}), // unasked, while it waits
		}
	})
	stranger, _ := serveBootinfo(t, func(int) [][]byte { return nil })
	n := testNode(t, func(c *Config) { c.Server.Bootinfo = port })
	reset := run(t, n, loader)
	await(t, n, PhaseWait)
	order := packet(t, bootinfo.Packet{Version: 1, Opcode: bootinfo.OpOrder, Answer: bootinfo.Answer{Type: bootinfo.TypeMultiboot}})
	if _, err := stranger.conn.WriteToUDPAddrPort(order, netip.AddrPortFrom(n.cfg.IP, bootinfo.ClientPort)); err != nil {
		t.Fatal(err)
	}
	// The real order comes last; what was obeyed before it would show.
	if err := bootinfo.SendOrder(context.Background(), testServer, n.cfg.IP, bootinfo.OrderReboot); err != nil {
		t.Fatal(err)
	}
	reset()
	if last := n.Last().Text; last != "reset: bootinfo says reboot" {
		t.Errorf("the node ended with %q", last)
	}
	for _, e := range n.Timeline() {
		if e.Phase == PhaseFailed {
			t.Errorf("a stranger's order was obeyed: %s", e.Text)
		}
	}
}

// TestWakeup is the order to ask again.
func TestWakeup(t *testing.T) {
	t.Parallel()
	f, port := serveBootinfo(t, func(n int) [][]byte {
		return [][]byte{reply(t, []bootinfo.Answer{{Type: bootinfo.TypeWait}, {Type: bootinfo.TypeReboot}}[min(n, 1)])}
	})
	n := testNode(t, func(c *Config) { c.Server.Bootinfo = port })
	reset := run(t, n, loader)
	await(t, n, PhaseWait)
	if asked := f.asked.Load(); asked != 1 {
		t.Errorf("asked %d times before the order", asked)
	}
	if err := bootinfo.SendOrder(context.Background(), testServer, n.cfg.IP, bootinfo.OrderWakeup); err != nil {
		t.Fatal(err)
	}
	reset()
	if asked := f.asked.Load(); asked != 2 {
		t.Errorf("asked %d times, want again after the order", asked)
	}
}

// TestSilence: the loader asks as often as it should and then boots the disk,
// which has nothing on it.
func TestSilence(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fault string
		asked int32
	}{{"", 2}, {"bootinfo", 0}} {
		f, port := serveBootinfo(t, func(int) [][]byte { return nil })
		n := testNode(t, func(c *Config) {
			c.Server.Bootinfo, c.FailAt, c.Timing.BootinfoRetry = port, test.fault, 20*time.Millisecond
		})
		run(t, n, loader)()
		if asked := f.heard(t); asked != test.asked {
			t.Errorf("fault %q: asked %d times, want %d", test.fault, asked, test.asked)
		}
	}
}
