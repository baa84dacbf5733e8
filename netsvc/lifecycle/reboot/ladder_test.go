package reboot_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/reboot"
	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/registry"
)

// rig is a Ladder whose every doing is noted, in order.
type rig struct {
	mu   sync.Mutex
	did  []string
	on   bool
	fail map[string]int // how often an order fails: "off", "on", "wake", "report"; -1 always
	lies bool           // accepts orders and does not follow them
}

func (r *rig) do(what, kind string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.did = append(r.did, what)
	if r.fail[kind] != 0 {
		r.fail[kind]--
		return errors.New(kind + " fails")
	}
	return nil
}

func (r *rig) SetPower(_ context.Context, target registry.Power, on bool) error {
	kind := map[bool]string{true: "on", false: "off"}[on]
	if err := r.do(kind+" "+target.Outlet, kind); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = on != r.lies
	return nil
}

func (r *rig) IsOn(context.Context, registry.Power) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.on, nil
}

func (r *rig) Report(_ context.Context, _, source string, reached ...string) error {
	return r.do(source+" reports "+strings.Join(reached, ","), "report")
}

func (r *rig) wake(_ context.Context, server, node netip.Addr) error {
	return r.do(fmt.Sprintf("wake %s from %s", node, server), "wake")
}

func (r *rig) ladder(tb testing.TB, state string, power registry.Power) *reboot.Ladder {
	tb.Helper()
	file := &registry.SiteFile{
		Site:  &registry.Site{BossIP: netip.MustParseAddr("10.0.0.254")},
		Types: []registry.NodeType{{Name: "pc"}},
		Nodes: []registry.Node{{ID: "pc1", Type: "pc", Power: power, Interfaces: []registry.Interface{
			{Name: "eth0", Role: registry.InterfaceControl, IP: netip.MustParseAddr("10.0.0.1")}}}},
		States: []registry.NodeState{{Node: "pc1", State: state}},
	}
	s := registry.NewSnapshot(file)
	return reboot.New(reboot.Config{Snapshot: func() *registry.Snapshot { return s }, Reports: r, Wake: r.wake,
		Drivers: map[string]reboot.Driver{"rig": r}, Log: slog.New(slog.DiscardHandler)})
}

var outlet = registry.Power{Driver: "rig", Outlet: "7"}

// TestLadder: what is done to a node by method and state, in order.
func TestLadder(t *testing.T) {
	t.Parallel()
	cycle := []string{"off 7", "power reports SHUTDOWN", "on 7"}
	wake := []string{"reboot reports PXEWAKEUP", "wake 10.0.0.1 from 10.0.0.254"}
	for _, c := range []struct {
		method states.Method
		state  string
		fail   map[string]int
		want   []string
		err    string
	}{
		{method: states.MethodLadder, state: "ISUP", want: cycle},
		{method: states.MethodLadder, state: "", want: cycle},
		{method: states.MethodLadder, state: "POWEROFF", want: cycle},
		{method: states.MethodLadder, state: "SHUTDOWN", want: []string{"off 7", "on 7"}},
		{method: states.MethodLadder, state: "PXEWAIT", want: wake},
		{method: states.MethodLadder, state: "PXEWAKEUP", want: wake},
		{method: states.MethodLadder, state: "PXELIMBO", want: wake},
		{method: states.MethodLadder, state: "PXEWAIT", fail: map[string]int{"wake": 1}, want: append(slices.Clone(wake), cycle...)},
		{method: states.MethodReal, state: "PXEWAIT", want: cycle},
		{method: states.MethodWakeup, state: "PXEWAKEUP", want: wake},
		{method: states.MethodWakeup, state: "PXEWAKEUP", fail: map[string]int{"wake": 1}, want: wake, err: "node pc1: wakeup: wake fails"},
		{method: states.MethodIPOD, state: "RELOADDONEV2", want: cycle},
		{method: states.MethodPowerCycle, state: "PXEWAIT", want: cycle},
		{method: states.MethodPowerOff, state: "ISUP", want: []string{"off 7", "power reports POWEROFF"}},
		{method: states.MethodPowerOff, state: "POWEROFF", want: []string{"off 7"}},
		{method: states.MethodPowerOn, state: "POWEROFF", want: []string{"power reports SHUTDOWN", "on 7"}},
		{method: states.MethodPowerOn, state: "ISUP", want: []string{"on 7"}},
		{method: states.MethodPowerCycle, state: "ISUP", fail: map[string]int{"off": 1}, want: []string{"off 7"}, err: "off fails"},
		{method: states.MethodPowerCycle, state: "ISUP", fail: map[string]int{"report": 1}, want: []string{"off 7", "power reports SHUTDOWN"}, err: "report fails"},
		{method: states.MethodPowerCycle, state: "ISUP", fail: map[string]int{"on": 2}, want: append(slices.Clone(cycle), "on 7", "on 7")},
	} {
		t.Run(fmt.Sprint(c.method, " in ", c.state, " ", c.fail), func(t *testing.T) {
			t.Parallel()
			r := &rig{on: true, fail: c.fail}
			err := r.ladder(t, c.state, outlet).Reboot(t.Context(), "pc1", c.method)
			if !slices.Equal(r.did, c.want) {
				t.Errorf("did  %q\nwant %q", r.did, c.want)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// TestPowerDoesNotComeBack: the error says that the node is left off.
func TestPowerDoesNotComeBack(t *testing.T) {
	t.Parallel()
	r := &rig{on: true, fail: map[string]int{"on": -1}}
	err := r.ladder(t, "ISUP", outlet).Reboot(t.Context(), "pc1", states.MethodPowerCycle)
	if !errors.Is(err, stated.ErrLeftOff) || !strings.Contains(err.Error(), "on fails") {
		t.Errorf("error %v", err)
	}
}

// TestControllerForgets: an order that is accepted and not followed is an
// error, and nothing is reported.
func TestControllerForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{on: true, lies: true}
		begin := time.Now()
		err := r.ladder(t, "ISUP", outlet).Reboot(t.Context(), "pc1", states.MethodPowerOff)
		if err == nil || !strings.Contains(err.Error(), "still shows power on=true") || time.Since(begin) != 30*time.Second {
			t.Errorf("error %v after %s", err, time.Since(begin))
		}
		if want := []string{"off 7"}; !slices.Equal(r.did, want) {
			t.Errorf("did %q, want %q", r.did, want)
		}
	})
}

func TestNoPowerControl(t *testing.T) {
	t.Parallel()
	r := &rig{}
	for power, want := range map[registry.Power]string{{}: "no power control is configured", {Driver: "ipmi"}: `driver "ipmi" is not known`} {
		if err := r.ladder(t, "ISUP", power).Reboot(t.Context(), "pc1", states.MethodLadder); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := r.ladder(t, "ISUP", outlet).Reboot(t.Context(), "pc9", states.MethodLadder); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("unknown node: %v", err)
	}
}

// script writes an executable into a folder of the test.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "power")
	// A program that another test starts now would hold the file open for
	// writing until it runs, and the file could not be run.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExec: the operator's command gets the order and the outlet as arguments,
// and may misbehave.
func TestExec(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		on         bool
		err        string
	}{
		{"status on", `test "$1 $2" = "status a b;c" && echo on`, true, ""},
		{"status off", `echo " off "`, false, ""},
		{"garbage", `echo perhaps`, false, `printed "perhaps", want on or off`},
		{"fails", `echo "no such outlet" >&2; exit 3`, false, "exit status 3: no such outlet"},
		{"prints without end", `head -c 300000 /dev/zero`, false, "want on or off"},
		{"leaves a child", `sleep 600 & echo on`, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			on, err := reboot.Exec{}.IsOn(t.Context(), registry.Power{Address: script(t, c.text), Outlet: "a b;c"})
			if on != c.on || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("on %t, error %v, want %t, %q", on, err, c.on, c.err)
			}
		})
	}
	if err := (reboot.Exec{}).SetPower(t.Context(), registry.Power{Address: script(t, `test "$1" = off`), Outlet: "1"}, false); err != nil {
		t.Error(err)
	}
	if _, err := (reboot.Exec{}).IsOn(t.Context(), registry.Power{Address: "/none/such"}); err == nil {
		t.Error("a command that is not there answers")
	}
}

// TestExecHangs: a command that hangs ends with its time, and its children too.
func TestExecHangs(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := reboot.Exec{}.IsOn(ctx, registry.Power{Address: script(t, "sleep 600")})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestRunScript(t *testing.T) {
	t.Parallel()
	path := script(t, "echo done >\"$0.ran\"")
	r := &rig{}
	if err := r.ladder(t, "ISUP", outlet).RunScript(t.Context(), "pc1", path); err == nil || !strings.Contains(err.Error(), "no script folder") {
		t.Errorf("without a folder: %v", err)
	}
	ladder := reboot.New(reboot.Config{ScriptDir: filepath.Dir(path)})
	if err := ladder.RunScript(t.Context(), "pc1", "power"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".ran"); err != nil {
		t.Error(err)
	}
	if err := ladder.RunScript(t.Context(), "pc1", "none"); err == nil || !strings.Contains(err.Error(), "pc1") {
		t.Errorf("a script that is not there: %v", err)
	}
}
