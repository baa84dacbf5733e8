package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"hyzer/netsvc/control"
	"hyzer/netsvc/lifecycle/load"
	"hyzer/netsvc/lifecycle/reboot"
	"hyzer/netsvc/lifecycle/stated"
	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// Version is the release, set when it is built.
var Version = "development"

// Appliance is a running site.
type Appliance struct {
	cfg     Config
	log     *slog.Logger
	started time.Time

	store    kv.Store
	reg      *registry.Registry
	runner   *stated.Runner
	loads    *load.Manager
	services []service
	closers  []func() error
	explain  []func(control.Subject) control.Section
	counts   []func(map[string]int64)
	progress *progress
}

// service is one part that runs until its context ends.
type service struct {
	name, addr string
	run        func(context.Context) error
}

// New opens the store and binds every socket, so that what is wrong is known
// before anything is served.
func New(ctx context.Context, cfg Config, log *slog.Logger) (_ *Appliance, err error) {
	a := &Appliance{cfg: cfg, log: log, started: time.Now().UTC(), progress: newProgress()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	for _, dir := range []string{cfg.DataDir, cfg.imageDir(), cfg.bootFileDir()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	store, err := pebblekv.Open(cfg.dbDir(), pebblekv.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	a.store = store
	a.closers = append(a.closers, store.Close)
	if a.reg, err = registry.Open(ctx, store, log); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, func() error { a.reg.Close(); return nil })
	if err := a.reg.EnsureHoldings(ctx); err != nil {
		return nil, err
	}
	a.openLifecycle()
	for _, open := range []func() error{a.openDHCP, a.openTFTP, a.openHTTP, a.openBootinfo, a.openTMCD, a.openFrisbee, a.openControl} {
		if err := open(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Appliance) openLifecycle() {
	ladder := reboot.New(reboot.Config{
		Snapshot:  a.reg.Snapshot,
		Drivers:   map[string]reboot.Driver{"redfish": reboot.NewRedfish(), "exec": reboot.Exec{}},
		Wake:      wake,
		ScriptDir: a.cfg.ScriptDir,
		Log:       a.log,
	})
	a.runner = stated.New(stated.Config{Registry: a.reg, Actor: ladder, Log: a.log})
	ladder.SetReporter(a.runner)
	a.loads = load.New(a.reg, a.runner, a.log)
	a.services = append(a.services,
		service{"stated", "", a.runner.Run},
		service{"load", "", a.loads.Run})
}

// Run serves until ctx ends or a service fails, then stops all and closes the
// store.
func (a *Appliance) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	failed := make(chan error, len(a.services))
	for _, s := range a.services {
		if s.addr != "" {
			a.log.Info("serving", "service", s.name, "addr", s.addr)
		}
		work.Go(func() {
			if err := s.run(ctx); err != nil {
				failed <- fmt.Errorf("%s: %w", s.name, err)
				cancel()
			}
		})
	}
	a.log.Info("appliance is ready", "version", Version, "nodes", a.reg.Snapshot().NodeCount(), "rev", a.reg.Snapshot().Revision())
	work.Wait()
	a.log.Info("appliance stopped")
	close(failed)
	var errs []error
	for err := range failed {
		errs = append(errs, err)
	}
	return errors.Join(append(errs, a.close())...)
}

func (a *Appliance) close() error {
	var errs []error
	for i := len(a.closers) - 1; i >= 0; i-- {
		errs = append(errs, a.closers[i]())
	}
	a.closers = nil
	return errors.Join(errs...)
}

func (a *Appliance) add(name, addr string, run func(context.Context) error) {
	a.services = append(a.services, service{name, addr, run})
}

// status implements control.Config.Status.
func (a *Appliance) status() control.Status {
	snapshot := a.reg.Snapshot()
	s := control.Status{Version: Version, Started: a.started, Revision: snapshot.Revision(), Nodes: snapshot.NodeCount(), Counts: map[string]int64{}}
	for _, svc := range a.services {
		if svc.addr != "" {
			s.Services = append(s.Services, control.Service{Name: svc.name, Addr: svc.addr})
		}
	}
	for _, count := range a.counts {
		count(s.Counts)
	}
	return s
}

// listenControl listens on a unix socket that only its owner and group may
// open, or on an address.
func listenControl(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix && !strings.HasPrefix(address, "/") {
		return net.Listen("tcp", address)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	// The store's lock was taken before: no other appliance of this data
	// folder is alive, so what lies there is left over.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}
