package diskloader

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/multicast/carrier"
	"hyzer/multicast/client"
	"hyzer/multicast/master"
	"hyzer/multicast/wire"
)

// versionsMax is how many versions of an image one load may see.
const versionsMax = 4

// States that are reported.
const (
	stateSetup   = "RELOADSETUP"
	stateLoading = "RELOADING"
	stateDone    = "RELOADDONEV2"
)

// Config is what a loader works with. Ask, OpenDisk, Server, Local and Log are
// required.
type Config struct {
	// Ask makes one exchange with tmcd, by TCP.
	Ask func(ctx context.Context, command string) (reply string, err error)
	// OpenDisk opens the disk that loadinfo names, such as "vda"; "" is the
	// machine's first. The caller of Run closes it.
	OpenDisk func(name string) (Disk, error)
	// Server is the master's address where loadinfo names none.
	Server     netip.Addr
	MasterPort uint16 // 0: wire.MasterPort
	// Local is this node's address on the control network.
	Local netip.Addr
	// Done is the state that ends a load; empty: RELOADDONEV2, after which the
	// server reboots the node.
	Done    string
	Workers int // that write an image; 0: as unzip.Options has it
	// Legacy does without mode 2 of multicast, as old loaders do. QuietAbort
	// says nothing to the session when ctx ends, as in a power cut.
	Legacy, QuietAbort bool
	Timing             Timing
	// Signer must have signed the manifest of each image; nil: what a server
	// sends is believed, and manifests that it has are used.
	Signer ed25519.PublicKey
	// OnImage hears of each image before anything of it is written, OnProgress
	// of how it comes in. Both are called on Run's goroutines.
	OnImage    func(image Image, number, of int)
	OnProgress func(client.Progress)
	Log        *slog.Logger
}

// Timing is how patient a loader is. Zero fields are as real loaders have them
// (page load, section 6).
type Timing struct {
	LoadInfoTries int           // 30
	LoadInfoPause time.Duration // between them; 1 s
	MasterPause   time.Duration // while the image is busy or the master away; 1 s
	JoinTimeout   time.Duration // for the session's answer; 60 s
	FetchAfter    time.Duration // silence of the session after which HTTP is used; 10 s
	Progress      time.Duration // between reports of a load; 5 s
}

func (c Config) withDefaults() Config {
	setDefault(&c.MasterPort, wire.MasterPort)
	setDefault(&c.Done, stateDone)
	setDefault(&c.Timing.LoadInfoTries, 30)
	setDefault(&c.Timing.LoadInfoPause, time.Second)
	setDefault(&c.Timing.MasterPause, time.Second)
	setDefault(&c.Timing.JoinTimeout, time.Minute)
	setDefault(&c.Timing.Progress, 5*time.Second)
	if c.OnImage == nil {
		c.OnImage = func(Image, int, int) {}
	}
	if c.OnProgress == nil {
		c.OnProgress = func(client.Progress) {}
	}
	return c
}

func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Run does all of a load up to its last report. What then reboots the machine
// is the server, or the caller if it does not.
func Run(ctx context.Context, cfg Config) error {
	l := loader{cfg.withDefaults(), states{}}
	if err := l.report(ctx, stateSetup); err != nil {
		return err
	}
	images, err := l.images(ctx)
	if err != nil {
		return err
	}
	disks, err := l.open(images)
	if err != nil {
		return err
	}
	if images[0].Prepare {
		if err := prepare(disks[0]); err != nil {
			return fmt.Errorf("preparing disk %s: %w", images[0].Disk, err)
		}
	}
	if err := l.report(ctx, stateLoading); err != nil {
		return err
	}
	for i, image := range images {
		l.cfg.OnImage(image, i+1, len(images))
		if err := l.load(ctx, disks[i], image); err != nil {
			return fmt.Errorf("image %s on partition %d of disk %s: %w", image.ID, image.Part, image.Disk, err)
		}
	}
	return l.report(ctx, l.cfg.Done)
}

type loader struct {
	cfg    Config
	states states
}

func (l loader) report(ctx context.Context, state string) error {
	if _, err := l.cfg.Ask(ctx, "state "+state); err != nil {
		return fmt.Errorf("reporting %s: %w", state, err)
	}
	l.cfg.Log.Info("reported", "state", state)
	return nil
}

// images asks as often as real loaders do.
func (l loader) images(ctx context.Context) (images []Image, err error) {
	for range l.cfg.Timing.LoadInfoTries {
		var reply string
		if reply, err = l.cfg.Ask(ctx, "loadinfo"); err == nil {
			images, err = ParseLoadInfo(reply)
		}
		if err == nil && len(images) > 0 {
			return images, nil
		}
		if err := pause(ctx, l.cfg.Timing.LoadInfoPause); err != nil {
			return nil, err
		}
	}
	if err == nil {
		err = errors.New("loadinfo: there is nothing to load")
	}
	return nil, err
}

// open opens the disk of each image, one disk only once.
func (l loader) open(images []Image) ([]Disk, error) {
	byName := map[string]Disk{}
	disks := make([]Disk, len(images))
	for i, image := range images {
		d := byName[image.Disk]
		if d == nil {
			var err error
			if d, err = l.cfg.OpenDisk(image.Disk); err != nil {
				return nil, fmt.Errorf("disk %s for image %s: %w", image.Disk, image.ID, err)
			}
			byName[image.Disk] = d
		}
		disks[i] = d
	}
	return disks, nil
}

// load puts one image on a disk. If a new version takes its place meanwhile, it
// is begun again with that.
func (l loader) load(ctx context.Context, d Disk, image Image) error {
	for try := 1; ; try++ {
		err := l.loadVersion(ctx, d, image)
		if try == versionsMax || !errors.Is(err, client.ErrImageChanged) {
			return err
		}
		image.Chunks = 0 // what was said is of the version before
		l.cfg.Log.Warn("image was replaced, beginning again", "image", image.ID, "error", err)
	}
}

// loadVersion puts one version of an image on a disk.
func (l loader) loadVersion(ctx context.Context, d Disk, image Image) error {
	var at ndz.Placement // zero: the whole disk
	var err error
	if image.Part > 0 {
		if at, err = place(d, image.Part); err != nil {
			return err
		}
	}
	if image.ZeroFill == ZeroDisk {
		size := d.SizeBytes()
		if image.Part > 0 {
			size = int64(at.Size) * sectorBytes
		}
		if err := d.Zero(int64(at.Start)*sectorBytes, size); err != nil {
			return fmt.Errorf("zeroing: %w", err)
		}
	}
	w, err := unzip.NewWriter(d, unzip.Options{
		Decode: ndz.DecodeOptions{Placement: at}, ZeroFill: image.ZeroFill == ZeroFree, Chunks: image.Chunks, Workers: l.cfg.Workers,
		BaseID: l.states.of(image),
		Warn:   func(text string) { l.cfg.Log.Warn(text, "image", image.ID) },
	})
	if err != nil {
		return err
	}
	l.states.lose(image)
	s := &sink{w: w}
	result, err := l.receive(ctx, s, image)
	stats, closed := w.Close() // every chunk is there, and durable
	if err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	l.states.set(image, s.state)
	l.cfg.Log.Info("image is on the disk", "image", image.ID, "server", result.Server, "chunks", stats.Chunks,
		"chunks_by_http", result.Fetched, "written_bytes", stats.WrittenBytes, "elapsed", result.Elapsed.Round(time.Millisecond))
	return nil
}

// receive joins the session and writes what comes.
func (l loader) receive(ctx context.Context, to client.Sink, image Image) (client.Result, error) {
	at, err := l.session(ctx, image)
	if err != nil {
		return client.Result{}, err
	}
	l.cfg.Log.Info("receiving", "image", image.ID, "session", at.address, "http", at.carrier != nil, "key", image.Key != nil)
	var other client.Fetcher // stays nil without a carrier
	if at.carrier != nil {
		defer at.carrier.Close()
		other = at.carrier
	}
	result, err := client.Run(ctx, client.Config{
		Address: at.address, Server: at.server, Fetcher: other, Iface: l.cfg.Local, ShareHost: l.cfg.Local.IsLoopback(),
		Mode2: !l.cfg.Legacy, QuietAbort: l.cfg.QuietAbort, Key: image.Key, Integrity: client.Integrity{Signer: l.cfg.Signer},
		Sink: to, JoinTimeout: l.cfg.Timing.JoinTimeout, FetchAfter: l.cfg.Timing.FetchAfter, Heartbeat: image.Heartbeat > 0,
		ProgressEvery: l.cfg.Timing.Progress, Log: l.cfg.Log,
		OnProgress: func(p client.Progress) {
			l.cfg.Log.Debug("progress", "image", image.ID, "chunks", p.ChunksWritten, "of", p.Chunks)
			l.cfg.OnProgress(p)
		},
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return result, err
}

// source is where an image comes from.
type source struct {
	address netip.AddrPort   // of the session
	server  netip.Addr       // not valid: not known
	carrier *carrier.Fetcher // nil: it is not to be had by HTTP
}

// session is the address that loadinfo gives, or else the master's answer. A
// master that is being started again is waited for.
func (l loader) session(ctx context.Context, image Image) (source, error) {
	if image.Addr != "" {
		at, err := netip.ParseAddrPort(image.Addr)
		if err != nil {
			err = fmt.Errorf("ADDR=%.80s: only multicast addresses are loaded from", image.Addr)
		}
		return source{address: at}, err
	}
	server := image.Server
	if !server.IsValid() {
		server = l.cfg.Server
	}
	query := master.Query{
		Server: netip.AddrPortFrom(server, l.cfg.MasterPort), From: l.cfg.Local,
		Request: wire.GetRequest{Host: netip.IPv4Unspecified(), Methods: wire.Unicast | wire.Multicast, HTTP: !l.cfg.Legacy, ImageID: image.ID},
	}
	for {
		answer, err := master.Get(ctx, query)
		if err == nil {
			return source{netip.AddrPortFrom(answer.Addr, answer.Port), answer.Server, answer.Carrier(query)}, nil
		}
		if !errors.Is(err, wire.MasterTryAgain) && !masterAway(err) {
			return source{}, err
		}
		l.cfg.Log.Debug("master asked again", "image", image.ID, "server", server, "error", err)
		if err := pause(ctx, l.cfg.Timing.MasterPause); err != nil {
			return source{}, err
		}
	}
}

// masterAway tells the errors of a master that is being started again.
func masterAway(err error) bool {
	for _, e := range []error{unix.ECONNREFUSED, unix.ECONNRESET, unix.EPIPE, unix.ETIMEDOUT, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// sink tells the multicast client which failures another copy of a chunk can
// mend.
type sink struct {
	w     *unzip.Writer
	once  sync.Once
	state ndz.StateID // that the image makes, zero if it does not say
}

func (s *sink) Chunk(ctx context.Context, index int, data []byte) error {
	err := s.w.Chunk(ctx, index, data)
	if err == nil {
		s.once.Do(func() {
			if h, err := ndz.ParseHeader(data); err == nil {
				s.state = h.Mark.State
			}
		})
	}
	if bad := (*ndz.FormatError)(nil); errors.As(err, &bad) {
		return fmt.Errorf("%w: %w", client.ErrBadChunk, err)
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
