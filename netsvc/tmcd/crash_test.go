package tmcd

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/tmcc/framed"
)

// TestPowerCutInMidLog cuts the appliance's power while a node's log grows. The
// client goes on from what is durable, on the same number: the log ends up
// whole, in one piece, with no line twice, and what the client was told is
// stored was.
func TestPowerCutInMidLog(t *testing.T) {
	t.Parallel()
	b := newBoss(t, 1, nil)
	c := &framed.Client{Addrs: []netip.AddrPort{b.addr}, Bind: nodeAddr(0), BootID: framed.NewBootID(), RetryPause: 5 * time.Millisecond}
	defer c.Close()
	w := c.NewLog()
	var want strings.Builder
	write := func(round, lines int) {
		for i := range lines {
			line := fmt.Sprintf("round %d line %d\n", round, i)
			want.WriteString(line)
			if _, err := io.WriteString(w, line); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(0, 10)
	for round := 1; round <= 3; round++ {
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		told := want.Len() // durable, says the server
		write(round, 2000)
		b.crash() // some of the round is stored, some on its way
		if got := b.logText("pc0"); len(got) < told || !strings.HasPrefix(want.String(), got) {
			t.Fatalf("round %d: %d bytes after the crash, %d were acknowledged", round, len(got), told)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.logText("pc0"); got != want.String() {
		t.Errorf("%d bytes stored, want %d", len(got), want.Len())
	}
	if logs, err := b.logs().List(t.Context(), "pc0"); err != nil || len(logs) != 1 {
		t.Errorf("%d logs, %v", len(logs), err)
	}
}

// TestPowerCutInMidLegacyLog: an old client sees its connection reset, not an
// end, and so knows that its log is to be sent again. The half that was stored
// is a log of its own.
func TestPowerCutInMidLegacyLog(t *testing.T) {
	t.Parallel()
	b := newBoss(t, 1, nil)
	text := strings.Repeat("a line of a boot log\n", 20_000)
	conn := dial(t, b.server, "127.0.1.1")
	if _, err := io.WriteString(conn, "VERSION=44 bootlog "+text[:len(text)/2]); err != nil {
		t.Fatal(err)
	}
	waitUntilSent(t, conn)
	b.crash()
	if reply, err := io.ReadAll(conn); err == nil {
		t.Errorf("the connection ended cleanly with %q", reply)
	} else if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
	b.want("127.0.1.1", "VERSION=44 bootlog "+text, "")
	if got := b.logText("pc0"); got != text {
		t.Errorf("%d bytes stored, want %d", len(got), len(text))
	}
	logs, err := b.logs().List(t.Context(), "pc0")
	if err != nil || len(logs) < 1 || len(logs) > 2 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
}

// TestPowerCutAfterReply: what a reply or a clean end promised is there after a
// loss of power.
func TestPowerCutAfterReply(t *testing.T) {
	t.Parallel()
	b := newBoss(t, 1, nil)
	b.Report("pc0", "BOOTING")
	for round := range 3 {
		b.want("127.0.1.1", "VERSION=44 state TBSETUP ", "")
		b.want("127.0.1.1", fmt.Sprintf("VERSION=44 booterrno %d ", round+1), "")
		b.want("127.0.1.1", fmt.Sprintf("VERSION=44 bootlog round %d", round), "")
		b.want("127.0.1.1", "VERSION=44 hostkeys SSH_HOST_RSA_KEY='k"+fmt.Sprint(round)+"' ", "")
		b.crash()
		snap := b.Reg.Snapshot()
		if run := snap.Runtime("pc0"); run.BootErrno != round+1 || run.SSHKeys["SSH_HOST_RSA_KEY"] != "k"+fmt.Sprint(round) {
			t.Errorf("round %d: %+v", round, run)
		}
		if got := b.logText("pc0"); got != fmt.Sprintf("round %d", round) || b.At("pc0") != "NORMALv2/TBSETUP" {
			t.Errorf("round %d: log %q, state %s", round, got, b.At("pc0"))
		}
		b.CheckLog("pc0")
	}
}
