package bootinfo

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/netsvc/lifecycle/load"
	"hyzer/netsvc/lifecycle/reboot"
	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/netsvc/lifecycle/states"
	"hyzer/storage/kv"
	"hyzer/storage/registry"
)

// rack is an appliance's lifecycle part and one machine, pc0, in virtual time.
// The machine asks what to boot when its power has been on for a while, listens
// if it is told to wait, and asks again when it is ordered to.
type rack struct {
	*statedtest.Site
	desk  *reports
	loads *load.Manager
	post  time.Duration // from power on to the loader's question

	appliance sync.RWMutex // held to restart it
	mu        sync.Mutex
	late      time.Duration // of the next report
	unsaid    bool          // and it is not announced before its time
	lost      bool          // and it never comes
	on        bool
	life      int // of the machine; it ends with its power
	listening bool
	told      []string
	loses     int // orders that do not come to the machine
	wakes     int
	cycles    int
	machine   sync.WaitGroup
}

var (
	rackBoss = netip.MustParseAddr("10.9.0.254")
	rackNode = netip.MustParseAddr("10.9.0.1")
)

func newRack(t *testing.T, power bool, post time.Duration) *rack {
	r := &rack{Site: statedtest.New(t, 1), post: post, on: true}
	r.Update(func(tx *registry.Tx) error {
		node := registry.Node{ID: "pc0", Type: "pc", Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: rackNode}}}
		if power {
			node.Power = registry.Power{Driver: "rack", Outlet: "1"}
		}
		if err := registry.Put(tx, &node); err != nil {
			return err
		}
		if err := registry.Delete[registry.Reservation](tx, "pc0"); err != nil {
			return err
		}
		return registry.Put(tx, &registry.Site{BossIP: rackBoss})
	})
	r.Actor.OnReboot = r.reboot
	r.start()
	r.Report("pc0", "SHUTDOWN")
	return r
}

// start runs the appliance.
func (r *rack) start() {
	r.loads = load.New(r.Reg, r.Runner, slog.New(slog.DiscardHandler))
	r.desk = &reports{to: r, snapshot: r.Reg.Snapshot, log: slog.New(slog.DiscardHandler), counts: &Counters{},
		wait: answerWaitMax, clock: time.Now, slots: make(chan struct{}, reportsInFlightMax)}
	r.Run(r.loads.Run)
}

func (r *rack) end() {
	r.powerOff()
	r.machine.Wait()
	r.desk.work.Wait()
	r.Close()
}

// Expect is the runner's, with a report that comes late.
func (r *rack) Expect(node, source string) recorder {
	r.mu.Lock()
	late, unsaid, lost := r.late, r.unsaid, r.lost
	r.late, r.lost = 0, false
	r.mu.Unlock()
	var record recorder
	if !unsaid {
		record = r.Runner.Expect(node, source)
	}
	return func(ctx context.Context, asked kv.Revision, reached ...string) (*registry.NodeState, error) {
		time.Sleep(late)
		if lost {
			return nil, registry.ErrNotFound
		}
		if record == nil {
			r.appliance.RLock()
			record = r.Runner.Expect(node, source)
			r.appliance.RUnlock()
		}
		return record(ctx, asked, reached...)
	}
}

// reboot is the appliance's ladder.
func (r *rack) reboot(ctx context.Context, node string, method states.Method) error {
	return reboot.New(reboot.Config{Snapshot: r.Reg.Snapshot, Reports: r.Runner, Drivers: map[string]reboot.Driver{"rack": r},
		Wake: func(ctx context.Context, server, node netip.Addr) error {
			return r.hear(ctx, server, node, Answer{Type: OrderWakeup})
		}, Log: slog.New(slog.DiscardHandler)}).Reboot(ctx, node, method)
}

// SetPower implements reboot.Driver.
func (r *rack) SetPower(_ context.Context, _ registry.Power, on bool) error {
	if !on {
		r.powerOff()
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = true
	r.cycles++
	r.goOn(r.post)
	return nil
}

// IsOn implements reboot.Driver.
func (r *rack) IsOn(context.Context, registry.Power) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.on, nil
}

func (r *rack) powerOff() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on, r.listening = false, false
	r.life++
}

// goOn has the machine ask after a while, unless its life ends first. Under mu.
func (r *rack) goOn(after time.Duration) {
	life := r.life
	r.machine.Go(func() {
		time.Sleep(after)
		r.mu.Lock()
		alive := life == r.life
		r.mu.Unlock()
		if alive {
			r.ask()
		}
	})
}

// hear is an order that comes to the machine.
func (r *rack) hear(_ context.Context, _, _ netip.Addr, order Answer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loses > 0 {
		r.loses--
		return nil
	}
	r.wakes++
	if !r.listening {
		return nil
	}
	r.listening = false
	r.goOn(map[uint16]time.Duration{OrderWakeup: 10 * time.Millisecond, OrderRestart: r.post}[order.Type])
	return nil
}

// ask is the loader's question, and what it does with the answer.
func (r *rack) ask() {
	s, req := r.Reg.Snapshot(), Request{Version: 1, Opcode: OpRequest}
	out, _ := Handle(s, req, rackNode)
	r.desk.answer(context.Background(), s, req, rackNode, out, func(out *Outcome, _ bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, strings.TrimSpace(out.Plan.Kind.String()+" "+out.Plan.Path))
		r.listening = out.Plan.Kind == 1
	})
}

// orders are what an operator wants, and what the machine is told in the end.
var orders = []struct {
	name  string
	give  func(r *rack) error
	told  string
	state string
}{
	{"load", func(r *rack) error {
		_, err := r.loads.Start(context.Background(), load.Request{Nodes: []string{"pc0"}, Images: []registry.Ref{registry.HeadRef("sys", "OTHER")}})
		return err
	}, "mfs /tftpboot/frisbee", "RELOAD/BOOTING"},
	{"reboot", func(r *rack) error {
		return r.Runner.Command(context.Background(), "pc0", "operator", states.CommandReboot, states.ForceAny)
	}, "wait", "PXEKERNEL/PXEWAIT"},
	{"allocate and reboot", func(r *rack) error {
		r.Update(func(tx *registry.Tx) error {
			if err := registry.Put(tx, &registry.Reservation{Node: "pc0", Experiment: "sys/user"}); err != nil {
				return err
			}
			return r.Runner.Select(tx, "pc0", func(b *registry.BootSelection) { b.Temp = registry.HeadRef("sys", "MFS") })
		})
		return r.Runner.Command(context.Background(), "pc0", "operator", states.CommandReboot, states.ForceAny)
	}, "mfs /tftpboot/mfs", "PXEFBSD/BOOTING"},
	{"wakeup", func(r *rack) error { return r.send(states.OrderWakeup) }, "wait", "PXEKERNEL/PXEWAIT"},
	{"restart", func(r *rack) error { return r.send(states.OrderRestart) }, "wait", "PXEKERNEL/PXEWAIT"},
}

func (r *rack) send(order states.LoaderOrder) error {
	return Orders{Snapshot: r.Reg.Snapshot, Reports: r.Runner, Send: r.hear}.Give(context.Background(), "pc0", order, false)
}

// settled lets two minutes pass and says where everything is.
func (r *rack) settled() (told []string, wakes, cycles int) {
	r.TB.Helper()
	time.Sleep(2 * time.Minute)
	synctest.Wait()
	r.CheckLog("pc0")
	if s := r.Reg.Snapshot(); s.Command("pc0") != nil || len(s.Errands()) > 0 {
		r.TB.Errorf("left over: command %+v, errands %+v", s.Command("pc0"), s.Errands())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told), r.wakes, r.cycles
}

// lateness is how the report of the first answer comes to the store.
var lateness = []struct {
	name   string
	by     time.Duration
	unsaid bool
}{{"1 s late", time.Second, false}, {"10 s late", 10 * time.Second, false}, {"10 s late, not announced", 10 * time.Second, true}}

// TestOrderBetweenAnswerAndReport: a node was told to wait, and while its report
// is on its way comes the order that it must not sleep through. It is woken, or
// its power is cycled, once.
func TestOrderBetweenAnswerAndReport(t *testing.T) {
	t.Parallel()
	for _, order := range orders {
		for _, late := range lateness {
			for _, power := range []bool{true, false} {
				for _, post := range []time.Duration{2 * time.Second, time.Minute} {
					t.Run(fmt.Sprintf("%s/%s/power=%t/post=%s", order.name, late.name, power, post), func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) {
							r := newRack(t, power, post)
							defer r.end()
							r.late, r.unsaid = late.by, late.unsaid
							r.ask()
							time.Sleep(10 * time.Millisecond)
							err := order.give(r)
							refused := late.by > 2*time.Second && (order.name == "wakeup" || order.name == "restart")
							if (err != nil) != refused {
								t.Fatalf("order: %v", err)
							}
							told, wakes, cycles := r.settled()
							if refused { // the operator was told so
								wakes++
							}
							if told[0] != "wait" || told[len(told)-1] != order.told || len(told) > 2 {
								t.Errorf("told %q", told)
							}
							if wakes+cycles != 1 || cycles == 1 && late.by < 2*time.Second {
								t.Errorf("%d wakes, %d power cycles, want one wake, or a cycle if the report is too late for one", wakes, cycles)
							}
							if at := r.At("pc0"); at != order.state {
								t.Errorf("node is %s, want %s", at, order.state)
							}
						})
					})
				}
			}
		}
	}
}

// TestReportWakes: a node without power control cannot be rebooted, and the order
// that was tried all the same was lost. When the report comes that it waits, it is
// woken at once, and not when its command is tried again.
func TestReportWakes(t *testing.T) {
	t.Parallel()
	for _, order := range orders[:3] {
		for _, unsaid := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/unsaid=%t", order.name, unsaid), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := newRack(t, false, time.Minute)
					defer r.end()
					r.late, r.unsaid, r.loses = 10*time.Second, unsaid, 1
					r.ask()
					time.Sleep(10 * time.Millisecond)
					if err := order.give(r); err != nil {
						t.Fatal(err)
					}
					time.Sleep(11 * time.Second)
					synctest.Wait()
					if at := r.At("pc0"); at != order.state {
						t.Errorf("node is %s, want %s", at, order.state)
					}
					if told, wakes, _ := r.settled(); !slices.Equal(told, []string{"wait", order.told}) || wakes != 1 {
						t.Errorf("told %q with %d wakes", told, wakes)
					}
				})
			})
		}
	}
}

// TestOrderBeforeOrAfter: the order comes before the question, when the node is
// on its way to its loader, or when its report is recorded.
func TestOrderBeforeOrAfter(t *testing.T) {
	t.Parallel()
	for _, order := range orders {
		for _, after := range []bool{false, true} {
			if !after && (order.name == "wakeup" || order.name == "restart") {
				continue // refused: the node does not listen
			}
			t.Run(fmt.Sprintf("%s/after=%t", order.name, after), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := newRack(t, false, time.Second)
					defer r.end()
					if after {
						r.ask()
						time.Sleep(time.Second)
					}
					if err := order.give(r); err != nil {
						t.Fatal(err)
					}
					if !after {
						time.Sleep(time.Second)
						r.mu.Lock()
						r.wakes = 0 // into the void: nothing is known of the node
						r.mu.Unlock()
						r.ask()
					}
					told, wakes, _ := r.settled()
					want := map[bool][]string{true: {"wait", order.told}, false: {order.told}}[after]
					if !slices.Equal(told, want) || wakes != len(want)-1 {
						t.Errorf("told %q with %d wakes, want %q", told, wakes, want)
					}
					if at := r.At("pc0"); at != order.state {
						t.Errorf("node is %s, want %s", at, order.state)
					}
				})
			})
		}
	}
}

// TestKilledBetweenOrderAndReport: the appliance is killed when it has taken an
// order and not yet the report; that comes after the restart, or never.
func TestKilledBetweenOrderAndReport(t *testing.T) {
	t.Parallel()
	for _, order := range orders[:3] {
		for _, comes := range []bool{true, false} {
			for _, power := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/comes=%t/power=%t", order.name, comes, power), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						r := newRack(t, power, 20*time.Second)
						defer r.end()
						r.Actor.OnReboot = func(ctx context.Context, _ string, _ states.Method) error { <-ctx.Done(); return ctx.Err() }
						r.late, r.unsaid, r.lost = time.Second, true, !comes
						r.ask()
						time.Sleep(10 * time.Millisecond)
						if err := order.give(r); err != nil {
							t.Fatal(err)
						}
						synctest.Wait()
						first := r.desk
						r.appliance.Lock()
						r.PowerCut()
						r.Actor.OnReboot = r.reboot
						r.start()
						r.appliance.Unlock()
						told, wakes, cycles := r.settled()
						first.work.Wait()
						if told[len(told)-1] != order.told || len(told) > 2 || wakes+cycles != 1 {
							t.Errorf("told %q with %d wakes and %d power cycles", told, wakes, cycles)
						}
					})
				})
			}
		}
	}
}
