package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"hyzer/bench/chassis"
	"hyzer/bench/site"
	"hyzer/bench/vnode"
	"hyzer/netsvc/appliance"
	"hyzer/netsvc/control"
)

// Options of a lab.
type Options struct {
	Dir      string // everything is written here
	Nodes    int
	Reserved int // as in site.Options
	Image    *site.Image
	// DiskBytes of each node; 0: as large as the image's source.
	DiskBytes int64
	RateMbps  int // of one multicast session; 0: the appliance's default
	DHCP      string
	// Node changes node i before it is made; may be nil.
	Node func(i int, cfg *vnode.Config)
	Log  *slog.Logger
}

// Lab is a running site.
type Lab struct {
	Site    *site.Site
	Chassis *chassis.Chassis
	Nodes   []*vnode.Node
	Control *control.Client
	Config  appliance.Config

	opts     Options
	cancel   context.CancelFunc
	running  sync.WaitGroup
	failures chan error

	stopAppliance func() error
}

// Start makes a site and runs it, with all nodes off.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	l := &Lab{opts: o, failures: make(chan error, 2)}
	l.Config.DataDir = filepath.Join(o.Dir, "data")
	l.Config.Control = filepath.Join(o.Dir, "control.sock")
	servers, err := address(&l.Config)
	if err != nil {
		return nil, err
	}
	l.Config.Multicast.RateMbps = o.RateMbps
	if err := l.makeNodes(servers); err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	l.running.Go(func() { l.note(l.Chassis.Run(run)) })
	if err := l.StartAppliance(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, l.importSite(ctx)
}

// makeNodes makes the nodes, the chassis that powers them and the records of
// both. The chassis must be there first, since the records name its address,
// and the nodes before it.
func (l *Lab) makeNodes(servers vnode.Servers) error {
	options := site.Options{Nodes: l.opts.Nodes, Reserved: l.opts.Reserved, Boss: boss, Subnet: subnet(), DHCP: l.opts.DHCP, Image: l.opts.Image}
	bare, err := site.New(options)
	if err != nil {
		return err
	}
	machines := make([]chassis.Machine, l.opts.Nodes)
	for i := range machines {
		node, err := vnode.New(l.nodeConfig(bare, i, servers))
		if err != nil {
			return err
		}
		l.Nodes = append(l.Nodes, node)
		machines[i] = node
	}
	if l.Chassis, err = chassis.New(boss.String()+":0", machines...); err != nil {
		return err
	}
	options.Power = l.Chassis.URL()
	l.Site, err = site.New(options)
	return err
}

func (l *Lab) nodeConfig(s *site.Site, i int, servers vnode.Servers) vnode.Config {
	cfg := s.Machine(i)
	cfg.Server, cfg.Log = servers, l.opts.Log
	cfg.DiskPath = filepath.Join(l.opts.Dir, "disk-"+strconv.Itoa(i+1))
	cfg.DiskBytes = l.opts.DiskBytes
	if cfg.DiskBytes == 0 && l.opts.Image != nil {
		cfg.DiskBytes = l.opts.Image.DiskBytes
	}
	if l.opts.Node != nil {
		l.opts.Node(i, &cfg)
	}
	return cfg
}

// DiskPath is the file of a node's disk.
func (l *Lab) DiskPath(i int) string { return filepath.Join(l.opts.Dir, "disk-"+strconv.Itoa(i+1)) }

// StartAppliance runs the appliance, after StopAppliance again with the data
// and ports that it had.
func (l *Lab) StartAppliance(ctx context.Context) error {
	a, err := appliance.New(ctx, l.Config, l.opts.Log)
	if err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(run) }()
	l.stopAppliance = func() error {
		cancel()
		return <-ended
	}
	l.Control = control.Dial(l.Config.Control)
	return nil
}

// StopAppliance stops the appliance; nodes and chassis go on.
func (l *Lab) StopAppliance() error {
	if l.stopAppliance == nil {
		return nil
	}
	stop := l.stopAppliance
	l.stopAppliance = nil
	return stop()
}

func (l *Lab) importSite(ctx context.Context) error {
	if err := site.WriteBootFiles(filepath.Join(l.Config.DataDir, "tftpboot")); err != nil {
		return errors.Join(err, l.Close())
	}
	var text bytes.Buffer
	if err := l.Site.File.WriteYAML(&text); err != nil {
		return errors.Join(err, l.Close())
	}
	if err := l.Control.Call(ctx, http.MethodPost, "/v1/import", &text, nil); err != nil {
		return errors.Join(fmt.Errorf("lab: importing the site: %w", err), l.Close())
	}
	return nil
}

func (l *Lab) note(err error) {
	if err != nil {
		l.failures <- err
	}
}

// Close turns everything off and returns what failed while the lab ran.
func (l *Lab) Close() error {
	var errs []error
	if l.Chassis != nil {
		l.Chassis.PowerOff()
	}
	errs = append(errs, l.StopAppliance())
	l.cancel()
	l.running.Wait()
	close(l.failures)
	for err := range l.failures {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Load starts a load of the site's image on nodes and returns the job.
func (l *Lab) Load(ctx context.Context, request control.LoadRequest) (control.LoadState, error) {
	var state control.LoadState
	err := l.Control.Call(ctx, http.MethodPost, "/v1/loads", request, &state)
	return state, err
}

// RemoveDisks empties every disk; the nodes must be off.
func (l *Lab) RemoveDisks() error {
	var errs []error
	for i := range l.Nodes {
		if err := os.Remove(l.DiskPath(i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
