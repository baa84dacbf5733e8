package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"

	"hyzer/bench/chassis"
	"hyzer/bench/netns"
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
	RateMbps  int    // of one multicast session; 0: the appliance's default
	DHCP      string // of the nodes' subnet; as in site.Options
	// Node changes node i before it is made; may be nil.
	Node func(i int, cfg *vnode.Config)
	// Daemon makes the command that runs the appliance with a configuration
	// file; nil runs it in this process. Its standard error is kept for error
	// messages unless the command has one.
	Daemon func(config string) *exec.Cmd
	// Namespaces puts server and nodes into network namespaces of their own,
	// on the real ports. It needs a Daemon.
	Namespaces bool
	Log        *slog.Logger // nil: slog.Default()
}

// Lab is a running site.
type Lab struct {
	Site    *site.Site
	Chassis *chassis.Chassis
	Nodes   []*vnode.Node
	Control *control.Client
	Config  appliance.Config
	Network *netns.Network // nil on loopback

	opts      Options
	servers   vnode.Servers
	appliance running
	chassisUp func() error // stops it
}

// networkServer is the appliance's address in namespaces, which are the lab's
// own.
var networkServer = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 99, 0, 1}), 16)

// Start makes a site and runs it, with all nodes off.
func Start(ctx context.Context, o Options) (*Lab, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	l := &Lab{opts: o}
	for _, step := range []func(context.Context) error{l.openNetwork, l.makeNodes, l.startChassis, l.StartAppliance, l.importSite} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// openNetwork finds addresses and ports, and makes namespaces if they are
// wanted.
func (l *Lab) openNetwork(context.Context) (err error) {
	options := site.Options{Nodes: l.opts.Nodes, Reserved: l.opts.Reserved, DHCP: l.opts.DHCP, Image: l.opts.Image, Boss: boss}
	if !l.opts.Namespaces {
		n := number()
		options.Subnet = subnet(n)
		if l.servers, err = onLoopback(&l.Config, n); err != nil {
			return err
		}
	} else {
		options.Subnet, options.Boss = networkServer.Masked(), networkServer.Addr()
	}
	if l.Site, err = site.New(options); err != nil {
		return err
	}
	if l.opts.Namespaces {
		network := netns.Options{Server: networkServer}
		for i := range l.opts.Nodes {
			network.MACs = append(network.MACs, l.Site.MAC(i))
		}
		if l.Network, err = netns.NewNetwork(network); err != nil {
			return err
		}
		l.servers = onNetwork(&l.Config, options.Boss, l.Network.Bridge)
	}
	l.Config.DataDir = filepath.Join(l.opts.Dir, "data")
	l.Config.Control = filepath.Join(l.opts.Dir, "control.sock")
	l.Config.Multicast.RateMbps = l.opts.RateMbps
	return nil
}

func (l *Lab) makeNodes(context.Context) error {
	for i := range l.opts.Nodes {
		node, err := vnode.New(l.nodeConfig(i))
		if err != nil {
			return err
		}
		l.Nodes = append(l.Nodes, node)
	}
	return nil
}

func (l *Lab) nodeConfig(i int) vnode.Config {
	cfg := l.Site.Machine(i)
	cfg.Server, cfg.Log = l.servers, l.opts.Log
	cfg.DiskPath, cfg.DiskBytes = l.DiskPath(i), l.opts.DiskBytes
	if cfg.DiskBytes == 0 && l.opts.Image != nil {
		cfg.DiskBytes = l.opts.Image.DiskBytes
	}
	if l.Network != nil {
		cfg.Link, cfg.Inside = netns.Link, l.Network.Nodes[i].Do
	}
	if l.opts.Node != nil {
		l.opts.Node(i, &cfg)
	}
	return cfg
}

// DiskPath is the file of node i's disk.
func (l *Lab) DiskPath(i int) string { return filepath.Join(l.opts.Dir, "disk-"+strconv.Itoa(i+1)) }

// startChassis powers the nodes from an address that the appliance reaches,
// and writes that into their records.
func (l *Lab) startChassis(ctx context.Context) (err error) {
	machines := make([]chassis.Machine, len(l.Nodes))
	for i, n := range l.Nodes {
		machines[i] = n
	}
	open := func() (err error) {
		l.Chassis, err = chassis.New(netip.AddrPortFrom(l.servers.IP, 0).String(), machines...)
		return err
	}
	if l.Network != nil {
		err = l.Network.Server.Do(open)
	} else {
		err = open()
	}
	if err != nil {
		return err
	}
	for i := range l.Site.File.Nodes {
		l.Site.SetPower(i, l.Chassis.URL())
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var up sync.WaitGroup
	var failed error
	up.Go(func() { failed = l.Chassis.Run(run) })
	l.chassisUp = func() error {
		cancel()
		up.Wait()
		return failed
	}
	return nil
}

// importSite gives the appliance its boot files and records.
func (l *Lab) importSite(ctx context.Context) error {
	if err := site.WriteBootFiles(filepath.Join(l.Config.DataDir, "tftpboot")); err != nil {
		return err
	}
	var text bytes.Buffer
	if err := l.Site.File.WriteYAML(&text); err != nil {
		return err
	}
	if err := l.Control.Call(ctx, http.MethodPost, "/v1/import", &text, nil); err != nil {
		return fmt.Errorf("lab: importing the site: %w", err)
	}
	return nil
}

// Close turns everything off and returns what failed while the lab ran.
func (l *Lab) Close() error {
	var off sync.WaitGroup
	for _, n := range l.Nodes {
		off.Go(n.PowerOff)
	}
	off.Wait()
	errs := []error{l.StopAppliance()}
	if l.chassisUp != nil {
		errs = append(errs, l.chassisUp())
	}
	if l.Network != nil {
		errs = append(errs, l.Network.Close())
	}
	return errors.Join(errs...)
}

// Load starts a load and returns the job.
func (l *Lab) Load(ctx context.Context, request control.LoadRequest) (control.LoadState, error) {
	var state control.LoadState
	err := l.Control.Call(ctx, http.MethodPost, "/v1/loads", request, &state)
	return state, err
}
