package chassis_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hyzer/bench/chassis"
	"hyzer/netsvc/lifecycle/reboot"
	"hyzer/storage/registry"
)

// lamp is a machine that can only be on or off.
type lamp struct {
	name string
	on   atomic.Bool
	ons  atomic.Int64
}

func (l *lamp) Name() string { return l.name }
func (l *lamp) PowerOn()     { l.on.Store(true); l.ons.Add(1) }
func (l *lamp) PowerOff()    { l.on.Store(false) }
func (l *lamp) IsOn() bool   { return l.on.Load() }

// start runs a chassis of two lamps until the test is over.
func start(t *testing.T) (*chassis.Chassis, *lamp, *lamp) {
	t.Helper()
	a, b := &lamp{name: "pc1"}, &lamp{name: "pc2"}
	c, err := chassis.New("127.0.0.1:0", a, b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c, a, b
}

func target(c *chassis.Chassis, id string) registry.Power {
	return registry.Power{Driver: "redfish", Address: c.URL(), Outlet: id}
}

// TestRedfishDriver holds the chassis against the appliance's own driver.
func TestRedfishDriver(t *testing.T) {
	t.Parallel()
	c, a, b := start(t)
	driver, ctx := reboot.NewRedfish(), context.Background()
	for _, step := range []struct {
		on   bool
		ons  int64
		what string
	}{
		{true, 1, "on"}, {true, 1, "on again"}, {false, 1, "off"}, {false, 1, "off again"}, {true, 2, "on once more"},
	} {
		if err := driver.SetPower(ctx, target(c, "pc1"), step.on); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		is, err := driver.IsOn(ctx, target(c, "pc1"))
		if err != nil || is != step.on || a.IsOn() != step.on || a.ons.Load() != step.ons {
			t.Errorf("%s: driver sees %v, machine %v, starts %d, error %v", step.what, is, a.IsOn(), a.ons.Load(), err)
		}
	}
	if b.ons.Load() != 0 {
		t.Error("an order for pc1 reached pc2")
	}
	if n := c.Orders("pc1"); n != 3 {
		t.Errorf("%d orders accepted, want 3: what is already so is not ordered", n)
	}
	if _, err := driver.IsOn(ctx, target(c, "pc9")); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a slot that is not there: %v", err)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		fault  chassis.Fault
		err    string
		on     bool // the machine, after an order to turn it on
		sees   bool // the driver, after it
		second bool // the machine, after a second order
	}{
		{"healthy", chassis.Fault{}, "", true, true, true},
		{"forgets", chassis.Fault{Kind: chassis.Forgets}, "", false, false, false},
		{"forgets once", chassis.Fault{Kind: chassis.Forgets, Times: 1}, "", false, false, true},
		{"refuses once", chassis.Fault{Kind: chassis.Refuses, Times: 1}, "500", false, false, true},
		{"lies", chassis.Fault{Kind: chassis.Lies}, "", false, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, a, _ := start(t)
			driver, ctx := reboot.NewRedfish(), context.Background()
			if err := c.SetFault("pc1", test.fault); err != nil {
				t.Fatal(err)
			}
			err := driver.SetPower(ctx, target(c, "pc1"), true)
			if (test.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("error %v, want %q", err, test.err)
			}
			if a.IsOn() != test.on {
				t.Errorf("machine on=%v, want %v", a.IsOn(), test.on)
			}
			if is, _ := driver.IsOn(ctx, target(c, "pc1")); is != test.sees {
				t.Errorf("driver sees on=%v, want %v", is, test.sees)
			}
			_ = driver.SetPower(ctx, target(c, "pc1"), true) // its effect counts
			if a.IsOn() != test.second {
				t.Errorf("machine on=%v after a second order, want %v", a.IsOn(), test.second)
			}
		})
	}
}

// TestSilent checks that a controller that never answers holds up neither its
// client for longer than it wants, nor the end of Run.
func TestSilent(t *testing.T) {
	t.Parallel()
	c, a, b := start(t)
	if err := c.SetFault("pc1", chassis.Fault{Kind: chassis.Silent}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := reboot.NewRedfish().SetPower(ctx, target(c, "pc1"), true); err == nil || a.IsOn() {
		t.Errorf("error %v, on=%v", err, a.IsOn())
	}
	if err := reboot.NewRedfish().SetPower(context.Background(), target(c, "pc2"), true); err != nil || !b.IsOn() {
		t.Errorf("the slot beside it: error %v, on=%v", err, b.IsOn())
	}
	c.PowerOff()
	if b.IsOn() {
		t.Error("pc2 is on after all slots were turned off")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	c, a, _ := start(t)
	reset := "/redfish/v1/Systems/pc1/Actions/ComputerSystem.Reset"
	for _, test := range []struct {
		path, body string
		status     int
		on         bool
	}{
		{reset, `{"ResetType":"ForceOff"}`, http.StatusConflict, false},
		{reset, `{"ResetType":"ForceRestart"}`, http.StatusNoContent, true},
		{reset, `{"ResetType":"On"}`, http.StatusConflict, true},
		{reset, `{"ResetType":"Nmi"}`, http.StatusBadRequest, true},
		{reset, `{"ResetType":`, http.StatusBadRequest, true},
		{reset, "", http.StatusBadRequest, true},
		{"/redfish/v1/Systems/pc7/Actions/ComputerSystem.Reset", `{"ResetType":"On"}`, http.StatusNotFound, true},
		{"/redfish/v1/Systems/pc1", `{}`, http.StatusMethodNotAllowed, true},
		{reset, `{"ResetType":"ForceOff"}`, http.StatusNoContent, false},
	} {
		resp, err := http.Post(c.URL()+test.path, "application/json", bytes.NewReader([]byte(test.body)))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != test.status || a.IsOn() != test.on {
			t.Errorf("%s %s: status %d on=%v, want %d %v: %s", test.path, test.body, resp.StatusCode, a.IsOn(), test.status, test.on, text)
		}
	}
	if err := c.SetFault("pc7", chassis.Fault{}); err == nil {
		t.Error("a fault was set on a slot that is not there")
	}
}

func TestSystems(t *testing.T) {
	t.Parallel()
	c, _, _ := start(t)
	resp, err := http.Get(c.URL() + "/redfish/v1/Systems")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"/redfish/v1/Systems/pc1"`, `"/redfish/v1/Systems/pc2"`, `"Members@odata.count":2`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
}

func TestTwoOfOneName(t *testing.T) {
	t.Parallel()
	if _, err := chassis.New("127.0.0.1:0", &lamp{name: "pc1"}, &lamp{name: "pc1"}); err == nil {
		t.Error("two machines of one name were accepted")
	}
}
