package reboot_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/reboot"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// system is what runs on the rig's node: it answers pings until it has gone
// down, and goes down a while after it was asked to.
type system struct {
	rig
	obeys   time.Duration // from the order to silence; 0: never
	hangs   bool          // the order does not come back
	fails   error         // what the order comes back with
	loses   int           // each so many pings one is lost; 0: none
	deaf    bool          // answers no ping
	says    string        // the state it reports as it goes down
	pings   int
	silent  time.Time
	state   registry.NodeState
	records func(registry.NodeState)
}

func (s *system) Reboot(ctx context.Context, node netip.Addr) error {
	if err := s.do("ssh "+node.String(), "ssh"); err != nil {
		return err
	}
	if s.obeys > 0 {
		s.silent = time.Now().Add(s.obeys)
	}
	if s.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.fails
}

func (s *system) ping(ctx context.Context, _ netip.Addr) bool {
	s.pings++
	down := s.deaf || !s.silent.IsZero() && time.Now().After(s.silent)
	if down && s.says != "" {
		s.state.Life++
		s.state.State, s.says = s.says, ""
		s.records(s.state)
	}
	if down || s.loses > 0 && s.pings%s.loses == 0 {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		return false
	}
	return true
}

func (s *system) softLadder(state string) *reboot.Ladder {
	file := &registry.SiteFile{
		Types: []registry.NodeType{{Name: "pc"}},
		Nodes: []registry.Node{{ID: "pc1", Type: "pc", Power: outlet, Interfaces: []registry.Interface{
			{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("10.0.0.1")}}}},
	}
	s.on, s.state = true, registry.NodeState{Node: "pc1", State: state}
	var snapshot *registry.Snapshot
	s.records = func(state registry.NodeState) {
		file.States = []registry.NodeState{state}
		snapshot = registry.NewSnapshot(file)
	}
	s.records(s.state)
	return reboot.New(reboot.Config{Snapshot: func() *registry.Snapshot { return snapshot }, Reports: s, Wake: s.wake, Soft: s, Ping: s.ping,
		Drivers: map[string]reboot.Driver{"rig": s}, Log: slog.New(slog.DiscardHandler)})
}

// TestAskedToReboot: which nodes are asked, what they do, and how long that may
// take.
func TestAskedToReboot(t *testing.T) {
	t.Parallel()
	cycle := []string{"off 7", "power reports SHUTDOWN", "on 7"}
	asked, down := "ssh 10.0.0.1", "reboot reports SHUTDOWN"
	for _, c := range []struct {
		name   string
		system *system
		method states.Method
		state  string
		want   []string
		atMost time.Duration
	}{
		{"obeys", &system{obeys: 5 * time.Second}, states.MethodLadder, "ISUP", []string{asked, down}, 10 * time.Second},
		{"obeys, and the connection ends", &system{obeys: time.Second, fails: errors.New("exit status 255")}, states.MethodLadder, "ISUP", []string{asked, down}, 6 * time.Second},
		{"obeys, and the connection hangs", &system{obeys: time.Second, hangs: true}, states.MethodLadder, "ISUP", []string{asked, down}, 24 * time.Second},
		{"says so itself", &system{obeys: 2 * time.Second, says: "SHUTDOWN"}, states.MethodLadder, "ISUP", []string{asked}, 6 * time.Second},
		{"boots already", &system{obeys: 2 * time.Second, says: "PXEBOOTING"}, states.MethodLadder, "ISUP", []string{asked}, 6 * time.Second},
		{"does not obey", &system{}, states.MethodLadder, "ISUP", append([]string{asked}, cycle...), 32 * time.Second},
		{"does not obey, loses pings", &system{loses: 2}, states.MethodLadder, "ISUP", append([]string{asked}, cycle...), 34 * time.Second},
		{"hangs", &system{hangs: true}, states.MethodLadder, "ISUP", append([]string{asked}, cycle...), 55 * time.Second},
		{"refuses the key", &system{fails: errors.New("exit status 255")}, states.MethodLadder, "TBFAILED", append([]string{asked}, cycle...), 32 * time.Second},
		{"answers no ping", &system{deaf: true}, states.MethodLadder, "ISUP", cycle, 3 * time.Second},
		{"is not known", &system{obeys: 1}, states.MethodLadder, "", cycle, time.Second},
		{"real", &system{obeys: time.Second}, states.MethodReal, "ISUP", []string{asked, down}, 6 * time.Second},
		{"power cycle", &system{obeys: time.Second}, states.MethodPowerCycle, "ISUP", cycle, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				if err := c.system.softLadder(c.state).Reboot(t.Context(), "pc1", c.method); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > c.atMost {
					t.Errorf("took %s, want %s at most", took, c.atMost)
				}
				if !slices.Equal(c.system.did, c.want) {
					t.Errorf("did  %q\nwant %q", c.system.did, c.want)
				}
			})
		})
	}
}

// TestAskedWhileStopping: an appliance that stops cycles no power.
func TestAskedWhileStopping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		s := &system{}
		if err := s.softLadder("ISUP").Reboot(ctx, "pc1", states.MethodLadder); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if want := []string{"ssh 10.0.0.1"}; !slices.Equal(s.did, want) {
			t.Errorf("did %q", s.did)
		}
	})
}

// TestSSH: what the ssh program is told, and that it may fail or hang.
func TestSSH(t *testing.T) {
	t.Parallel()
	path := script(t, `echo "$@" >"$0.args"; exit 255`)
	if err := (reboot.SSH{Program: path, Key: "/k"}).Reboot(t.Context(), netip.MustParseAddr("10.0.0.1")); err == nil {
		t.Error("a failure is none")
	}
	args, err := os.ReadFile(path + ".args")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.TrimSpace(string(args))
	if !strings.HasPrefix(got, "-F /dev/null -i /k -l root -n -T -o BatchMode=yes ") || !strings.HasSuffix(got, " -- 10.0.0.1 /sbin/reboot") {
		t.Errorf("ssh %s", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = reboot.SSH{Program: script(t, "sleep 600"), Key: filepath.Join("/", "k")}.Reboot(ctx, netip.MustParseAddr("10.0.0.1"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
