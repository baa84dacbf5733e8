package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"hyzer/bench/chassis"
	"hyzer/bench/netns"
	"hyzer/bench/site"
	"hyzer/netsvc/appliance"
	"hyzer/netsvc/control"
)

// Options of a lab.
type Options struct {
	Dir      string // everything is written here
	Daemon   string // path of hyzerd
	Firmware Firmware
	// BootFiles are the site's boot programs by client class.
	BootFiles map[string]string
	// Served are the files of the boot folder: name there, path here.
	Served map[string]string
	// Image is what can be loaded; nil: the machine has no disk.
	Image *site.Image
	// DiskBytes of the machine's empty disk.
	DiskBytes int64
}

// Server is the appliance's address in the namespace, which is the lab's own.
var Server = netip.AddrFrom4([4]byte{10, 99, 0, 1})

var subnet = netip.PrefixFrom(Server, 16)

// Ports (page bootinfo; multicast sessions take a few).
const (
	httpPort, tftpPort, bootinfoPort, tmcdPort, masterPort = 80, 69, 6969, 7777, 64494

	sessionPortFirst, sessionPortLast = 21000, 21007
	readyTimeout                      = 60 * time.Second
	readyPoll                         = 50 * time.Millisecond
	tap                               = "hyz-tap0"
)

// Lab is one machine with its appliance.
type Lab struct {
	Machine *Machine
	Site    *site.Site
	Control *control.Client
	Config  appliance.Config
	Disk    string

	opts    Options
	network *netns.Network
	daemon  *process
	log     bytes.Buffer // of the daemon; read when it has ended
	chassis *chassis.Chassis

	life       context.Context // of what runs in the background
	end        context.CancelFunc
	background sync.WaitGroup
	failed     error // of the chassis; valid after background
}

// Start makes a lab whose machine is off.
func Start(ctx context.Context, o Options) (*Lab, error) {
	l := &Lab{opts: o}
	l.life, l.end = context.WithCancel(context.WithoutCancel(ctx))
	for _, step := range []func(context.Context) error{l.connect, l.makeMachine, l.startChassis, l.startDaemon, l.importSite} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// connect makes the namespace with a bridge and the machine's cable in it.
func (l *Lab) connect(ctx context.Context) (err error) {
	if l.network, err = netns.NewNetwork(netns.Options{Server: subnet}); err != nil {
		return err
	}
	return l.network.Server.Do(func() error {
		for _, args := range [][]string{
			{"tuntap", "add", "dev", tap, "mode", "tap"},
			{"link", "set", "dev", tap, "master", l.network.Bridge, "up"},
		} {
			if err := run(ctx, "", "ip", args...); err != nil {
				return err
			}
		}
		conn, to, err := openAdvertiser(l.network.Bridge)
		if err == nil {
			l.background.Go(func() { advertise(l.life, conn, to) })
		}
		return err
	})
}

func (l *Lab) makeMachine(context.Context) (err error) {
	l.Site, err = site.New(site.Options{Nodes: 1, Reserved: -1, Boss: Server, Subnet: subnet.Masked(), Image: l.opts.Image})
	if err != nil {
		return err
	}
	l.Site.File.Site.BootFiles = l.opts.BootFiles
	if l.opts.DiskBytes > 0 {
		l.Disk = filepath.Join(l.opts.Dir, "disk")
		if err := errors.Join(os.WriteFile(l.Disk, nil, 0o644), os.Truncate(l.Disk, l.opts.DiskBytes)); err != nil {
			return err
		}
	}
	l.Machine = NewMachine(MachineOptions{
		Name: l.Site.Name(0), MAC: l.Site.MAC(0), Firmware: l.opts.Firmware, Disk: l.Disk,
		Dir: l.opts.Dir, Network: l.network, Tap: tap,
	})
	return nil
}

// startChassis powers the machine from an address that the appliance reaches.
func (l *Lab) startChassis(context.Context) error {
	err := l.network.Server.Do(func() (err error) {
		l.chassis, err = chassis.New(netip.AddrPortFrom(Server, 0).String(), l.Machine)
		return err
	})
	if err != nil {
		return err
	}
	l.Site.SetPower(0, l.chassis.URL())
	l.background.Go(func() { l.failed = l.chassis.Run(l.life) })
	return nil
}

// config is a configuration with every service on its real port.
func (l *Lab) config() appliance.Config {
	cfg := appliance.DefaultConfig()
	at := func(port uint16) appliance.Socket {
		return appliance.Socket{Listen: netip.AddrPortFrom(Server, port)}
	}
	cfg.DataDir = filepath.Join(l.opts.Dir, "data")
	cfg.Control = filepath.Join(l.opts.Dir, "control.sock")
	cfg.DHCP = appliance.DHCP{Interfaces: []string{l.network.Bridge}}
	cfg.TFTP, cfg.HTTP, cfg.Bootinfo, cfg.Frisbee.Socket = at(tftpPort), at(httpPort), at(bootinfoPort), at(masterPort)
	cfg.TMCD.Listen = []netip.AddrPort{at(tmcdPort).Listen}
	cfg.Multicast.Interface = Server
	cfg.Multicast.FirstPort, cfg.Multicast.LastPort = sessionPortFirst, sessionPortLast
	return cfg
}

// startDaemon runs hyzerd until it answers. JSON is YAML, too.
func (l *Lab) startDaemon(ctx context.Context) error {
	l.Config = l.config()
	text, err := json.Marshal(l.Config)
	if err != nil {
		return err
	}
	path := filepath.Join(l.opts.Dir, "hyzerd.yaml")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	cmd := exec.Command(l.opts.Daemon, "--config", path)
	cmd.Stderr = &l.log
	if l.daemon, err = start(l.network.Server, cmd, func(error) {}); err != nil {
		return err
	}
	l.Control = control.Dial(l.Config.Control)
	return l.awaitReady(ctx)
}

func (l *Lab) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		err := l.Control.Call(ctx, http.MethodGet, "/v1/status", nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-l.daemon.ended:
			return fmt.Errorf("hyzerd ended: %w: %s", l.daemon.err, l.log.String())
		case <-ctx.Done():
			return fmt.Errorf("hyzerd is not ready: %w", err)
		case <-time.After(readyPoll):
		}
	}
}

// importSite gives the appliance its boot files and records.
func (l *Lab) importSite(ctx context.Context) error {
	for name, from := range l.opts.Served {
		to := filepath.Join(l.Config.DataDir, "tftpboot", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), copyFile(to, from)); err != nil {
			return fmt.Errorf("boot file %s: %w", name, err)
		}
	}
	var text bytes.Buffer
	if err := l.Site.File.WriteYAML(&text); err != nil {
		return err
	}
	if err := l.Control.Call(ctx, http.MethodPost, "/v1/import", &text, nil); err != nil {
		return fmt.Errorf("importing the site: %w", err)
	}
	return nil
}

// Close ends everything, and returns what went wrong while the lab ran.
func (l *Lab) Close() error {
	var errs []error
	if l.Machine != nil {
		errs = append(errs, l.Machine.Err())
		l.Machine.PowerOff()
	}
	if l.daemon != nil {
		if err := l.daemon.stop(); err != nil {
			errs = append(errs, fmt.Errorf("hyzerd: %w", err))
		}
	}
	l.end()
	l.background.Wait()
	errs = append(errs, l.failed)
	if l.network != nil {
		errs = append(errs, l.network.Close())
	}
	return errors.Join(errs...)
}

// Log is what the daemon logged, after Close.
func (l *Lab) Log() string { return l.log.String() }
