package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/cli"
	"hyzer/imaging/ndz"
	"hyzer/imaging/partition"
	"hyzer/imaging/partition/scheme"
	"hyzer/imaging/unzip"
	"hyzer/multicast/master"
	"hyzer/multicast/wire"
)

// Exit statuses of frisbee (spec frisbee A6, A8).
const (
	exitFailed  = 1
	exitTimeout = int(unix.ETIMEDOUT)
	exitMaster  = 255
)

// Failures of the master server have their own exit status: what it said, and
// that it did not answer.
var (
	errMaster = errors.New("server returned error")
	errAsking = errors.New("no answer from the master server")
)

// Main is frisbee, with the old program's options and exit status; args are
// those after the program's name. It prints what the old program printed for
// -Q, and its last lines.
func Main(args []string, _ io.Reader, stdout, stderr io.Writer) int {
	c := &command{slicetype: -1, methods: wire.AnyMethod, stdout: stdout, stderr: stderr}
	if err := c.parse(args); err != nil {
		cli.PrintUsage(stderr, "frisbee", usage, err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	err := c.run(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = context.Cause(ctx) // names the signal
	}
	fmt.Fprintf(stderr, "frisbee: %v\n", err)
	switch {
	case errors.Is(err, errMaster), errors.Is(err, errAsking):
		return exitMaster
	case errors.Is(err, ErrServerSilent):
		return exitTimeout
	}
	return exitFailed
}

func (c *command) run(ctx context.Context) error {
	if c.status {
		return c.ask(ctx)
	}
	if c.imageID != "" {
		done, err := c.get(ctx)
		if done || err != nil {
			return err
		}
	}
	c.session.ShareHost = c.session.Iface.IsLoopback()
	c.session.Mode2 = true // servers that do not know of it ignore the offer
	c.session.Log = c.logger()
	start := time.Now()
	c.session.OnJoined = func(id uint32, geo wire.Geometry) { c.joined(id, geo, int(time.Since(start)/time.Second)) }
	if d := c.startDelay(); d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if c.session.Raw {
		return c.loadRaw(ctx)
	}
	return c.loadImage(ctx)
}

func (c *command) logger() *slog.Logger {
	level := slog.LevelWarn
	if c.debug {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: level}))
}

// query is the question of -F, or with status of -Q, which is about all ways.
func (c *command) query(status bool) master.Query {
	methods := c.methods
	if status {
		methods = wire.AnyMethod
	}
	return master.Query{
		Server: netip.AddrPortFrom(c.master, uint16(c.port)), From: c.session.Iface,
		Request: wire.GetRequest{Host: c.session.ReportFor, Methods: methods, Status: status, HTTP: !status, ImageID: c.imageID},
	}
}

// ask is -Q: an error of the server is part of the answer.
func (c *command) ask(ctx context.Context) error {
	a, err := master.Get(ctx, c.query(true))
	var code wire.MasterError
	if err != nil && !errors.As(err, &code) {
		return fmt.Errorf("%w: %w", errAsking, err)
	}
	w := c.stdout
	fmt.Fprintf(w, "imageid=%s\nerror=%d\n", c.imageID, a.Error)
	if a.Error != wire.MasterOK {
		return nil
	}
	fmt.Fprintf(w, "method=0x%x\nsize=%d\nsigtype=0x%x\n", uint8(a.Method), a.FileBytes, uint16(a.Signature.Type))
	if sig := a.Signature.Bytes(); len(sig) > 0 {
		fmt.Fprintf(w, "sig=0x%x\n", sig)
	}
	if !a.Running {
		fmt.Fprintln(w, "running=0")
		return nil
	}
	fmt.Fprintf(w, "running=1\nservaddr=%v\naddr=%v\nport=%d\n", a.Server, a.Addr, a.Port)
	return nil
}

// get is -F: it fills in the session. It returns true if the old boss asked
// its own server on behalf of a node, only to have the session started.
func (c *command) get(ctx context.Context) (done bool, err error) {
	for {
		a, err := master.Get(ctx, c.query(false))
		if err == nil {
			c.session.Address = netip.AddrPortFrom(a.Addr, a.Port)
			c.session.Server = a.Server
			c.session.Broadcast = a.Method == wire.Broadcast
			if f := a.Carrier(c.query(false)); f != nil {
				c.session.Fetcher = f
			}
			if !c.session.Iface.IsValid() {
				c.session.Iface = a.Local
			}
			return c.session.ReportFor.IsValid() && c.master == netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
		}
		var code wire.MasterError
		switch {
		case !errors.As(err, &code):
			return false, fmt.Errorf("%w: %w", errAsking, err)
		case code != wire.MasterTryAgain || c.busy <= 0:
			return false, fmt.Errorf("%s: %w: %w", c.imageID, errMaster, code)
		}
		select {
		case <-time.After(c.busy):
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// loadRaw is -N.
func (c *command) loadRaw(ctx context.Context) error {
	f, err := os.OpenFile(c.out, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	c.session.Sink = RawSink{W: f}
	r, err := Run(ctx, c.session)
	if err = errors.Join(err, syncFile(f), f.Close()); err != nil {
		return err
	}
	c.report(r, r.FileBytes, r.FileBytes)
	return nil
}

// syncFile makes a file durable, or leaves a pipe or device that cannot be.
func syncFile(f *os.File) error {
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return nil
}

// loadImage decompresses onto a disk or partition.
func (c *command) loadImage(ctx context.Context) error {
	target, err := unzip.OpenTarget(c.out)
	if err != nil {
		return err
	}
	defer target.Close()
	if err := c.place(target); err != nil {
		return fmt.Errorf("%s: %w", c.out, err)
	}
	w, err := unzip.NewWriter(target, c.restore)
	if err != nil {
		return err
	}
	c.session.Sink = imageSink{w}
	c.session.SinkWorkers = sinkWorkers
	r, err := Run(ctx, c.session)
	stats, closed := w.Close()
	if err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.out, err)
	}
	if err := c.setType(target); err != nil {
		return err
	}
	c.report(r, stats.WrittenBytes, stats.EndBytes)
	return nil
}

// sinkWorkers lets one chunk be inflated while another is written.
const sinkWorkers = 2

// imageSink asks again for chunks that are no image chunks, which the old
// client gave up on.
type imageSink struct{ w *unzip.Writer }

func (s imageSink) Chunk(ctx context.Context, index int, data []byte) error {
	err := s.w.Chunk(ctx, index, data)
	if bad := (*ndz.FormatError)(nil); errors.As(err, &bad) {
		return fmt.Errorf("%w: %w", ErrBadChunk, err)
	}
	return err
}

// place finds the partition of -s; a whole disk starts empty.
func (c *command) place(t *unzip.FileTarget) error {
	if c.slice == 0 {
		if err := claim(t, nil); err != nil {
			return err
		}
		return t.Truncate()
	}
	e, err := unzip.FindPartition(t, c.slice)
	if err != nil {
		return err
	}
	if c.slicetype >= 0 {
		if c.kind, err = unzip.PlanType(t, c.slice, byte(c.slicetype)); err != nil {
			return fmt.Errorf("option -D: %w", err)
		}
	}
	c.restore.Decode.Placement = ndz.Placement{Start: e.Start, Size: e.Sectors}
	return claim(t, &e)
}

// claim refuses a disk or partition that is mounted, as imageunzip does. What
// else keeps it from being claimed, as a memory file system whose /dev does not
// have the partition, is no reason not to load: the old client did.
func claim(t *unzip.FileTarget, e *partition.Entry) error {
	if err := t.Claim(e); errors.Is(err, scheme.ErrBusy) {
		return err
	}
	return nil
}

func (c *command) setType(t *unzip.FileTarget) error {
	if len(c.kind) == 0 {
		return nil
	}
	if err := t.Patch(c.kind); err != nil {
		return fmt.Errorf("setting the type of partition %d of %s: %w", c.slice, c.out, err)
	}
	return nil
}
