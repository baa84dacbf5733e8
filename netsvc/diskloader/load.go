package diskloader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/multicast/client"
	"hyzer/multicast/master"
	"hyzer/multicast/wire"
)

// Times and tries of real loaders (page load, section 6).
const (
	loadInfoTries = 30
	loadInfoPause = time.Second
	masterPause   = time.Second // while the image is busy
	joinTimeout   = time.Minute
	progressEvery = 5 * time.Second
)

// States that are reported.
const (
	stateSetup   = "RELOADSETUP"
	stateLoading = "RELOADING"
	stateDone    = "RELOADDONEV2"
)

// Config is what a loader works with.
type Config struct {
	// Ask makes one exchange with tmcd, by TCP.
	Ask func(ctx context.Context, command string) (reply string, err error)
	// OpenDisk opens the disk that loadinfo names, such as "vda"; "" is the
	// machine's first. The caller of Run closes it.
	OpenDisk func(name string) (Disk, error)
	// Server is the master's address where loadinfo names none.
	Server netip.Addr
	// Local is this node's address on the control network.
	Local netip.Addr
	Log   *slog.Logger
}

// Run does all of a load up to its last report. What then reboots the machine
// is the server, or the caller if it does not.
func Run(ctx context.Context, cfg Config) error {
	l := loader{cfg}
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
		if err := l.load(ctx, disks[i], image); err != nil {
			return fmt.Errorf("image %s on partition %d of disk %s: %w", image.ID, image.Part, image.Disk, err)
		}
	}
	return l.report(ctx, stateDone)
}

type loader struct{ cfg Config }

func (l loader) report(ctx context.Context, state string) error {
	if _, err := l.cfg.Ask(ctx, "state "+state); err != nil {
		return fmt.Errorf("reporting %s: %w", state, err)
	}
	l.cfg.Log.Info("reported", "state", state)
	return nil
}

// images asks as often as real loaders do.
func (l loader) images(ctx context.Context) (images []Image, err error) {
	for range loadInfoTries {
		var reply string
		if reply, err = l.cfg.Ask(ctx, "loadinfo"); err == nil {
			images, err = ParseLoadInfo(reply)
		}
		if err == nil && len(images) > 0 {
			return images, nil
		}
		if err := pause(ctx, loadInfoPause); err != nil {
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

// load puts one image on a disk.
func (l loader) load(ctx context.Context, d Disk, image Image) error {
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
		Decode: ndz.DecodeOptions{Placement: at}, ZeroFill: image.ZeroFill == ZeroFree, Chunks: image.Chunks,
		Warn: func(text string) { l.cfg.Log.Warn(text, "image", image.ID) },
	})
	if err != nil {
		return err
	}
	result, err := l.receive(ctx, w, image)
	stats, closed := w.Close() // every chunk is there, and durable
	if err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	l.cfg.Log.Info("image is on the disk", "image", image.ID, "server", result.Server, "chunks", stats.Chunks,
		"written_bytes", stats.WrittenBytes, "elapsed", result.Elapsed.Round(time.Millisecond))
	return nil
}

// receive joins the session and writes what comes.
func (l loader) receive(ctx context.Context, w *unzip.Writer, image Image) (client.Result, error) {
	at, server, err := l.session(ctx, image)
	if err != nil {
		return client.Result{}, err
	}
	l.cfg.Log.Info("receiving", "image", image.ID, "session", at)
	return client.Run(ctx, client.Config{
		Address: at, Server: server, Iface: l.cfg.Local, ShareHost: l.cfg.Local.IsLoopback(),
		Mode2: true, Sink: sink{w}, JoinTimeout: joinTimeout, Heartbeat: image.Heartbeat > 0,
		ProgressEvery: progressEvery, Log: l.cfg.Log,
		OnProgress: func(p client.Progress) {
			l.cfg.Log.Info("progress", "image", image.ID, "chunks", p.ChunksWritten, "of", p.Chunks)
		},
	})
}

// session is the address that loadinfo gives, or else the master's answer.
func (l loader) session(ctx context.Context, image Image) (at netip.AddrPort, server netip.Addr, err error) {
	if image.Addr != "" {
		if at, err = netip.ParseAddrPort(image.Addr); err != nil {
			err = fmt.Errorf("ADDR=%.80s: only multicast addresses are loaded from", image.Addr)
		}
		return at, server, err
	}
	server = image.Server
	if !server.IsValid() {
		server = l.cfg.Server
	}
	query := master.Query{
		Server: netip.AddrPortFrom(server, wire.MasterPort), From: l.cfg.Local,
		Request: wire.GetRequest{Host: netip.IPv4Unspecified(), Methods: wire.Unicast | wire.Multicast, ImageID: image.ID},
	}
	for {
		answer, err := master.Get(ctx, query)
		if err == nil {
			return netip.AddrPortFrom(answer.Addr, answer.Port), answer.Server, nil
		}
		if !errors.Is(err, wire.MasterTryAgain) {
			return at, server, err
		}
		if err := pause(ctx, masterPause); err != nil {
			return at, server, err
		}
	}
}

// sink tells the multicast client which failures another copy of a chunk can
// mend.
type sink struct{ w *unzip.Writer }

func (s sink) Chunk(ctx context.Context, index int, data []byte) error {
	err := s.w.Chunk(ctx, index, data)
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
