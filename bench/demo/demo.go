package demo

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"hyzer/bench/lab"
	"hyzer/bench/site"
	"hyzer/bench/vnode"
	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

// Options of the demo.
type Options struct {
	Dir          string // written anew
	Nodes        int
	ContentBytes int64 // of real files in the image
	RateMbps     int   // of the multicast session; 0: the default of the appliance
	Keep         bool  // leave Dir behind
}

// Limits of the story: what takes longer is a failure.
const (
	waitTimeout  = 60 * time.Second // to be in the loader
	loadTimeout  = 8 * time.Minute
	killAtShare  = 0.35 // of all image bytes received
	downTime     = time.Second
	logLinesTail = 6

	pollInterval = 20 * time.Millisecond // while the daemon is down
)

// Main runs the demo; exit status 0 means that everything it claims held.
func Main(ctx context.Context, args []string, out *os.File) int {
	var o Options
	fs := flag.NewFlagSet("hyzer-bench demo", flag.ContinueOnError)
	fs.StringVar(&o.Dir, "dir", "demo", "`folder` for disks and data, emptied first")
	fs.IntVar(&o.Nodes, "nodes", 16, "machines")
	mb := fs.Int64("mb", 300, "`MB` of real files in the image")
	fs.IntVar(&o.RateMbps, "rate", 0, "`Mbit/s` of the multicast session, 0 for the default")
	fs.BoolVar(&o.Keep, "keep", false, "keep disks and data afterwards")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 || o.Nodes < 2 || *mb < 1 {
		fmt.Fprintln(out, "usage: hyzer-bench demo [flags], at least 2 nodes and 1 MB")
		return 3
	}
	o.ContentBytes = *mb << 20
	if err := Run(ctx, o, out); err != nil {
		fmt.Fprintf(out, "\nTHE DEMO FAILED: %v\n", err)
		return 1
	}
	return 0
}

// story is one run of the demo.
type story struct {
	opts   Options
	lab    *lab.Lab
	log    *os.File // of the daemon
	daemon *exec.Cmd
	image  *site.Image
	board  *board
	screen *screen
	began  time.Time
	doomed string // the node that is made to fail
	fates  map[string]registry.LoadNode
	ended  map[string]time.Duration // since the load began
}

// Run tells the story once.
func Run(ctx context.Context, o Options, out *os.File) (err error) {
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return err
	}
	if err := emptyDir(o.Dir); err != nil {
		return err
	}
	s := &story{opts: o, board: newBoard(), screen: newScreen(out), began: time.Now(), fates: map[string]registry.LoadNode{}, ended: map[string]time.Duration{}}
	defer func() {
		err = errors.Join(err, s.close())
		if err == nil && !o.Keep {
			err = os.RemoveAll(o.Dir)
		}
	}()
	for _, chapter := range []func(context.Context) error{s.makeImage, s.startSite, s.powerOn, s.load, s.showFailure, s.checkDisks} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	s.finish()
	return nil
}

// marker is in every folder that the demo has made: it empties no other.
const marker = ".hyzer-demo"

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
			return fmt.Errorf("%s is not empty and was not made by the demo; choose another -dir", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, marker), nil, 0o644)
}

func (s *story) close() error {
	if s.lab == nil {
		return nil
	}
	return errors.Join(s.lab.Close(), s.log.Close())
}

func (s *story) makeImage(ctx context.Context) (err error) {
	s.screen.say("making a disk image from %d MB of real files", s.opts.ContentBytes>>20)
	at := time.Now()
	images := filepath.Join(s.opts.Dir, "data", "images")
	if err := os.MkdirAll(images, 0o755); err != nil {
		return err
	}
	if s.image, err = site.MakeImage(ctx, site.ImageOptions{Dir: images, ContentBytes: s.opts.ContentBytes}); err != nil {
		return err
	}
	s.printf("disk of %d MB with an ext4 file system, %d MB allocated -> image of %d MB in %.1f s\n",
		s.image.DiskBytes>>20, s.image.DataBytes>>20, s.image.ImageBytes>>20, time.Since(at).Seconds())
	return nil
}

func (s *story) printf(format string, args ...any) { fmt.Fprintf(s.screen.out, format, args...) }

// startSite runs the appliance as a process and imports the site.
func (s *story) startSite(ctx context.Context) error {
	binary, err := beside("hyzerd")
	if err != nil {
		return err
	}
	if s.log, err = os.Create(filepath.Join(s.opts.Dir, "hyzerd.log")); err != nil {
		return err
	}
	s.screen.say("starting the appliance with %d machines", s.opts.Nodes)
	s.lab, err = lab.Start(ctx, lab.Options{
		Dir: s.opts.Dir, Nodes: s.opts.Nodes, Reserved: -1, Image: s.image, RateMbps: s.opts.RateMbps, Node: s.machine,
		Daemon: func(config string) *exec.Cmd {
			s.daemon = exec.Command(binary, "--config", config)
			s.daemon.Stderr = s.log
			// The daemon must not outlive a demo that is killed.
			s.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			return s.daemon
		},
		Log: slog.New(slog.DiscardHandler), // nodes tell their story on the board
	})
	if err != nil {
		return fmt.Errorf("%w; the daemon's log is %s", err, s.log.Name())
	}
	s.printf("hyzerd is process %d; its log is %s\n", s.daemon.Process.Pid, s.log.Name())
	return nil
}

// beside finds a program that was built together with this one.
func beside(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w; build all programs with make build", err)
	}
	return path, nil
}

// machine completes a node: virtual machines need not take the time of real
// ones.
func (s *story) machine(i int, cfg *vnode.Config) {
	s.board.add(cfg.Name)
	cfg.OnPhase = s.board.heard
	cfg.Timing = vnode.Timing{POST: 300 * time.Millisecond, Boot: 200 * time.Millisecond, Reset: 100 * time.Millisecond, Command: 30 * time.Second}
	if i == s.opts.Nodes-1 {
		s.doomed = cfg.Name
	}
}

// powerOn switches all nodes on and waits until each waits in its boot loader.
func (s *story) powerOn(ctx context.Context) error {
	s.screen.say("power on: DHCP, TFTP and bootinfo, until they wait for orders")
	at := time.Now()
	req := control.CommandRequest{Nodes: s.lab.Site.Names(), Kind: "POWERON", Force: 1}
	if err := s.lab.Control.Call(ctx, "POST", "/v1/commands", req, nil); err != nil {
		return err
	}
	return s.watched(ctx, func(ctx context.Context) error {
		wait := control.WaitRequest{Nodes: s.lab.Site.Names(), Pattern: "PXEWAIT", TimeoutSecs: waitTimeout.Seconds()}
		reached := 0
		err := s.lab.Control.Stream(ctx, "POST", "/v1/wait", wait, func(line []byte) error {
			var r control.WaitResult
			if err := json.Unmarshal(line, &r); err != nil {
				return err
			}
			if r.Outcome != "reached" {
				return fmt.Errorf("node %s did not reach PXEWAIT: %s (%s)", r.Node, r.Outcome, r.State)
			}
			reached++
			return nil
		})
		if err == nil && reached != s.opts.Nodes {
			err = fmt.Errorf("%d of %d nodes reached PXEWAIT", reached, s.opts.Nodes)
		}
		if err == nil {
			s.printf("all %d machines wait in their boot loaders after %.1f s\n", s.opts.Nodes, time.Since(at).Seconds())
		}
		return err
	})
}

// watched runs a chapter with the board on the screen.
func (s *story) watched(ctx context.Context, chapter func(context.Context) error) error {
	show, stop := context.WithCancel(ctx)
	done := make(chan struct{}, 2)
	go func() { s.board.follow(show, s.lab.Control); done <- struct{}{} }()
	go func() { s.screen.run(show, s.board); done <- struct{}{} }()
	err := chapter(ctx)
	stop()
	<-done
	<-done
	return err
}

// finish says how long things took and where to look next.
func (s *story) finish() {
	s.screen.say("everything held, in %.0f s", time.Since(s.began).Seconds())
	s.printf(`next:
  make demo again with: bin/hyzer-bench demo -keep -nodes 32 -mb 600
  bin/hyzer help          what operators can do
  docs/operating.md       a first site of your own
  docs/architecture.md    how it works
`)
}
