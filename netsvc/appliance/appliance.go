package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"hyzer/multicast/mirror"
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

	store     kv.Store
	reg       *registry.Registry
	runner    *stated.Runner
	loads     *load.Manager
	services  []service
	closers   []func() error
	explain   []func(control.Subject) control.Section
	counts    []func(map[string]int64)
	progress  *progress
	imageKeys imageKeys
	wantLog   func(node string) int
	mirror    *mirror.Mirror // nil: the images are here
	httpPort  uint16         // where images are to be had, 0: nowhere
}

// service is one part that runs until its context ends. Run with a context
// that has ended, a service closes the sockets that were opened for it.
type service struct {
	name  string
	addrs []string // where it listens
	run   func(context.Context) error
}

// New opens the store and binds every socket, so that what is wrong is known
// before anything is served. After an error nothing is left open.
func New(ctx context.Context, cfg Config, log *slog.Logger) (_ *Appliance, err error) {
	a := &Appliance{cfg: cfg, log: log, started: time.Now().UTC(), progress: newProgress()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.abandon())
		}
	}()
	if err := a.openStore(ctx); err != nil {
		return nil, err
	}
	if err := a.openImageKeys(ctx); err != nil {
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

// openStore makes the folders and opens what is kept in them. The store holds
// accounts and keys, so its folder is not for everyone.
func (a *Appliance) openStore(ctx context.Context) error {
	for _, dir := range []struct {
		path string
		mode os.FileMode
	}{{a.cfg.DataDir, 0o755}, {a.cfg.dbDir(), 0o700}, {a.cfg.imageDir(), 0o755}, {a.cfg.bootFileDir(), 0o755}} {
		if err := os.MkdirAll(dir.path, dir.mode); err != nil {
			return fmt.Errorf("data_dir: %w", err)
		}
	}
	// A store that was restored has the mode of its copy.
	if err := os.Chmod(a.cfg.dbDir(), 0o700); err != nil {
		return fmt.Errorf("data_dir: %w", err)
	}
	store, err := pebblekv.Open(a.cfg.dbDir(), pebblekv.Options{Logger: a.log})
	if err != nil {
		return err
	}
	a.store = store
	a.closers = append(a.closers, store.Close)
	a.add("store", func(ctx context.Context) error { return watchStore(ctx, store) })
	if a.reg, err = registry.Open(ctx, store, a.log); err != nil {
		return err
	}
	a.closers = append(a.closers, func() error { a.reg.Close(); return nil })
	return a.reg.EnsureHoldings(ctx)
}

// watchStore ends the appliance when its store has failed: what it cannot write
// down it must not promise. A restart reads what is on disk.
func watchStore(ctx context.Context, store *pebblekv.Store) error {
	select {
	case <-store.Failed():
		return store.Err()
	case <-ctx.Done():
		return nil
	}
}

func (a *Appliance) openLifecycle() {
	redfish := reboot.NewRedfish()
	a.closers = append(a.closers, func() error { redfish.Close(); return nil })
	config := reboot.Config{
		Snapshot:  a.reg.Snapshot,
		Drivers:   map[string]reboot.Driver{"redfish": redfish, "exec": reboot.Exec{}},
		Wake:      wake,
		ScriptDir: a.cfg.ScriptDir,
		Log:       a.log,
	}
	if key := a.cfg.Reboot.SSHKey; key != "" {
		config.Soft = reboot.SSH{Key: key}
	}
	ladder := reboot.New(config)
	a.runner = stated.New(stated.Config{Registry: a.reg, Actor: ladder, Log: a.log})
	ladder.SetReporter(a.runner)
	a.loads = load.New(a.reg, a.runner, a.log)
	a.add("stated", a.runner.Run)
	a.add("load", a.loads.Run)
}

// Run serves until ctx ends or a service fails, then stops all and closes the
// store.
func (a *Appliance) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var work sync.WaitGroup
	failed := make(chan error, len(a.services))
	for _, s := range a.services {
		for _, addr := range s.addrs {
			a.log.Info("serving", "service", s.name, "addr", addr)
		}
		work.Go(func() {
			if err := s.run(ctx); err != nil {
				failed <- fmt.Errorf("%s: %w", s.name, err)
				cancel()
			}
		})
	}
	a.log.Info("appliance is ready", "version", Version, "nodes", a.reg.Snapshot().NodeCount(), "rev", a.reg.Snapshot().Revision())
	notify("READY=1")
	<-ctx.Done()
	notify("STOPPING=1")
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

// abandon closes an appliance that was not run.
func (a *Appliance) abandon() error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	var errs []error
	for _, s := range a.services {
		if len(s.addrs) > 0 {
			errs = append(errs, s.run(ended))
		}
	}
	return errors.Join(append(errs, a.close())...)
}

func (a *Appliance) add(name string, run func(context.Context) error, addrs ...string) {
	a.services = append(a.services, service{name, addrs, run})
}

// status implements control.Config.Status.
func (a *Appliance) status() control.Status {
	snapshot := a.reg.Snapshot()
	s := control.Status{Version: Version, Started: a.started, Revision: a.store.Revision(), Nodes: snapshot.NodeCount(), Counts: map[string]int64{}}
	for _, svc := range a.services {
		for _, addr := range svc.addrs {
			s.Services = append(s.Services, control.Service{Name: svc.name, Addr: addr})
		}
	}
	for _, count := range a.counts {
		count(s.Counts)
	}
	return s
}
