package vnode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"hyzer/imaging/ndz"
	"hyzer/imaging/unzip"
	"hyzer/multicast/client"
	"hyzer/multicast/master"
	"hyzer/multicast/wire"
)

// diskLoader is the frisbee memory file system (page load, section 6, step 5).
func diskLoader(b *boot) stage {
	if err := b.report("RELOADSETUP"); err != nil {
		return b.loaderFails(err)
	}
	if b.at(StepLoadInfo) {
		return b.loaderFails(errors.New("loadinfo: no answer"))
	}
	images, err := b.askLoadInfo()
	if err != nil {
		return b.loaderFails(err)
	}
	if len(images) == 0 {
		return b.loaderFails(errors.New("there is nothing to load"))
	}
	if err := b.loadAll(images); err != nil {
		return b.loaderFails(err)
	}
	return b.loaded()
}

// loaderFails leaves the machine in the loader. Its log is uploaded, but no
// state is sent: the server learns of it by time-outs.
func (b *boot) loaderFails(err error) stage {
	b.log.line("*** %v", err)
	if b.ctx.Err() == nil {
		_, _ = b.ask("bootlog", b.log.bytes()) // best effort, as on a real node
	}
	return b.dead("disk loader: %v", err)
}

// askLoadInfo asks as often as real loaders do.
func (b *boot) askLoadInfo() (images []LoadInfo, err error) {
	b.phase(PhaseLoadInfo, "asking for loadinfo")
	for range b.cfg.Timing.LoadInfoTries {
		var reply string
		if reply, err = b.ask("loadinfo", nil); err == nil {
			if images, err = ParseLoadInfo(reply); err == nil && len(images) > 0 {
				return images, nil
			}
		}
		if !b.pause(b.cfg.Timing.LoadInfoRetry) {
			return nil, errPowerCut
		}
	}
	return images, err
}

func (b *boot) loadAll(images []LoadInfo) error {
	d, err := b.openDisk()
	if err != nil {
		return err
	}
	defer d.Close()
	d.bytesPerSec = b.faults.slowdown()
	if images[0].Prepare {
		if err := d.wipeLabels(); err != nil {
			return fmt.Errorf("preparing the disk: %w", err)
		}
	}
	if err := b.report("RELOADING"); err != nil {
		return err
	}
	for i, image := range images {
		b.phase(PhaseLoading, "image %d of %d: %s to partition %d", i+1, len(images), image.ImageID, image.Part)
		if err := b.load(d, image); err != nil {
			return fmt.Errorf("image %s: %w", image.ImageID, err)
		}
	}
	return nil
}

// load puts one image on the disk.
func (b *boot) load(d *disk, info LoadInfo) error {
	placement, err := d.place(info)
	if err != nil {
		return err
	}
	if info.ZeroFill == 2 {
		if err := d.Zero(int64(placement.Start)*SectorBytes, int64(placement.Size)*SectorBytes); err != nil {
			return fmt.Errorf("wiping the disk: %w", err)
		}
	}
	if info.Part == 0 {
		placement = ndz.Placement{}
	}
	session, err := b.findSession(info)
	if err != nil {
		return err
	}
	if b.at(StepUnzip) {
		d.brokenAfter = 1 << 20
	}
	w, err := unzip.NewWriter(d, unzip.Options{
		Decode:   ndz.DecodeOptions{Placement: placement},
		ZeroFill: info.ZeroFill == 1, Chunks: info.Chunks, Workers: 1,
		Warn: func(text string) { b.log.line("%s", text) },
	})
	if err != nil {
		return err
	}
	result, err := b.receive(session, w, info)
	stats, closeErr := w.Close() // every chunk is there, and durable
	if err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	b.log.line("%s: %d chunks, %d bytes written in %v", info.ImageID, stats.Chunks, stats.WrittenBytes, result.Elapsed)
	return nil
}

// place is where an image goes; for the whole disk, all of it.
func (d *disk) place(info LoadInfo) (ndz.Placement, error) {
	if info.Part == 0 {
		return ndz.Placement{Size: d.sectors()}, nil
	}
	at, err := d.slot(info.Part)
	if err != nil {
		if err := d.standardTable(); err != nil {
			return ndz.Placement{}, fmt.Errorf("writing a partition table: %w", err)
		}
		at, err = d.slot(info.Part)
	}
	return ndz.Placement{Start: uint64(at.Offset / SectorBytes), Size: uint64(at.Bytes / SectorBytes)}, err
}

// session is where an image is being sent.
type session struct {
	addr   netip.AddrPort
	server netip.Addr // not valid: whoever answers
}

// findSession takes the address that loadinfo gives, or asks the master, as
// long as the image is busy or nobody answers. (The C loader gives up when
// nobody answers.)
func (b *boot) findSession(info LoadInfo) (session, error) {
	if info.Addr != "" {
		addr, err := netip.ParseAddrPort(info.Addr)
		if err != nil {
			return session{}, fmt.Errorf("ADDR=%.80s: only multicast addresses are loaded from", info.Addr)
		}
		return session{addr: addr}, nil
	}
	server := info.Server
	if !server.IsValid() {
		server = b.cfg.Server.IP
	}
	query := master.Query{
		Server: netip.AddrPortFrom(server, b.cfg.Server.Master), From: b.cfg.IP,
		Request: wire.GetRequest{Host: netip.IPv4Unspecified(), Methods: wire.Unicast | wire.Multicast, ImageID: info.ImageID},
	}
	for {
		answer, err := master.Get(b.ctx, query)
		if err == nil {
			return session{netip.AddrPortFrom(answer.Addr, answer.Port), answer.Server}, nil
		}
		if !errors.Is(err, wire.MasterTryAgain) && !serverAway(err) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			return session{}, err
		}
		b.log.line("%v; trying again", err)
		if !b.pause(b.cfg.Timing.MasterRetry) {
			return session{}, errPowerCut
		}
	}
}

// receive runs the multicast client with the disk behind it.
func (b *boot) receive(at session, w *unzip.Writer, info LoadInfo) (client.Result, error) {
	ctx, cancel := context.WithCancelCause(b.ctx)
	defer cancel(nil)
	breaks := b.at(StepMulticast)
	result, err := client.Run(ctx, client.Config{
		Address: at.addr, Server: at.server, Iface: b.cfg.IP, ShareHost: b.cfg.Link == "",
		Mode2: b.cfg.IP.As4()[3]%2 == 0, QuietAbort: true, // every other one is an old loader
		Sink: chunkSink{w, ctx}, JoinTimeout: b.cfg.Timing.JoinTimeout, Heartbeat: info.Heartbeat > 0,
		ProgressEvery: b.cfg.Timing.Progress, Log: b.cfg.Log.With("node", b.cfg.Name),
		OnProgress: func(p client.Progress) {
			b.progress(p)
			if breaks && p.ChunksReceived > 0 {
				cancel(errLinkLost)
			}
		},
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return result, err
}

var errLinkLost = errors.New("receiving: network is unreachable")

func (b *boot) progress(p client.Progress) {
	b.event(Event{
		Phase: PhaseLoading, Text: fmt.Sprintf("%d of %d chunks written", p.ChunksWritten, p.Chunks), Progress: true,
		Bytes: p.BytesReceived, BytesTotal: p.FileBytes, BytesPerSec: p.BytesPerSec,
	})
}

// chunkSink tells the multicast client which failures another copy of the
// chunk can mend.
type chunkSink struct {
	w   *unzip.Writer
	ctx context.Context
}

func (s chunkSink) Chunk(ctx context.Context, index int, data []byte) error {
	err := s.w.Chunk(ctx, index, data)
	var format *ndz.FormatError
	if errors.As(err, &format) {
		return fmt.Errorf("%w: %w", client.ErrBadChunk, err)
	}
	return err
}

// loaded reports the end and waits for the server to reboot the node.
func (b *boot) loaded() stage {
	state := "RELOADDONEV2"
	if b.cfg.OldLoader {
		state = "RELOADDONE"
	}
	b.phase(PhaseLoaded, "all images are on the disk")
	if err := b.report(state); err != nil {
		return b.loaderFails(err)
	}
	if b.cfg.OldLoader {
		return b.reset("the disk loader is done")
	}
	begin := time.Now()
	b.pause(b.cfg.Timing.RebootWait)
	return b.reset("nobody rebooted the node for %v", time.Since(begin).Round(time.Second))
}
