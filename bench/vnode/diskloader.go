package vnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"hyzer/multicast/client"
	"hyzer/netsvc/diskloader"
)

// diskLoader is the frisbee memory file system (page load, section 6, step 5),
// on a machine that may have faults.
func diskLoader(b *boot) stage {
	ctx, fail := context.WithCancelCause(b.ctx)
	defer fail(nil)
	var d *disk
	defer func() {
		if d != nil {
			d.Close()
		}
	}()
	breaks := false
	t := b.cfg.Timing
	err := diskloader.Run(ctx, diskloader.Config{
		Ask: func(ctx context.Context, command string) (string, error) { return b.loaderAsks(ctx, fail, command) },
		OpenDisk: func(string) (diskloader.Disk, error) {
			var err error
			if d, err = b.openDisk(); err != nil {
				return nil, err
			}
			d.bytesPerSec = b.faults.slowdown()
			return d, nil
		},
		OnImage: func(image diskloader.Image, number, of int) {
			b.phase(PhaseLoading, "image %d of %d: %s to partition %d", number, of, image.ID, image.Part)
			if b.at(StepUnzip) {
				d.brokenAfter = d.writtenBytes() + 1<<20
			}
			breaks = b.at(StepMulticast)
		},
		OnProgress: func(p client.Progress) {
			b.progress(p)
			if breaks && p.ChunksReceived > 0 {
				fail(errLinkLost)
			}
		},
		Server: b.cfg.Server.IP, MasterPort: b.cfg.Server.Master, Local: b.cfg.IP, Done: b.cfg.doneState(), Workers: 1,
		Legacy: b.cfg.IP.As4()[3]%2 == 1, QuietAbort: true, // every other one is an old loader
		Timing: diskloader.Timing{
			LoadInfoTries: t.LoadInfoTries, LoadInfoPause: t.LoadInfoRetry, MasterPause: t.MasterRetry,
			JoinTimeout: t.JoinTimeout, Progress: t.Progress,
		},
		Log: b.console(),
	})
	if err != nil {
		return b.loaderFails(err)
	}
	return b.loaded()
}

// loaderAsks asks tmcd for the loader, which never hears the answer to
// loadinfo if that is the node's fault.
func (b *boot) loaderAsks(ctx context.Context, fail context.CancelCauseFunc, command string) (string, error) {
	switch {
	case command == "loadinfo":
		b.phase(PhaseLoadInfo, "asking for loadinfo")
		if b.at(StepLoadInfo) {
			fail(errors.New("loadinfo: no answer"))
			return "", context.Cause(ctx)
		}
	case strings.HasPrefix(command, "state RELOADDONE"):
		b.phase(PhaseLoaded, "all images are on the disk")
	}
	return b.ask(command, nil)
}

// console is where the loader writes: the node's console, and the log of who
// runs it.
func (b *boot) console() *slog.Logger {
	console := slog.NewTextHandler(consoleWriter{&b.log}, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
				return slog.Attr{}
			}
			return a
		},
	})
	return slog.New(slog.NewMultiHandler(console, b.cfg.Log.With("node", b.cfg.Name).Handler()))
}

type consoleWriter struct{ log *bootLog }

func (w consoleWriter) Write(p []byte) (int, error) {
	w.log.line("%s", p)
	return len(p), nil
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

var errLinkLost = errors.New("receiving: network is unreachable")

func (b *boot) progress(p client.Progress) {
	b.event(Event{
		Phase: PhaseLoading, Text: fmt.Sprintf("%d of %d chunks written", p.ChunksWritten, p.Chunks), Progress: true,
		Bytes: p.BytesReceived, BytesTotal: p.FileBytes, BytesPerSec: p.BytesPerSec,
	})
}

// doneState ends a load.
func (c *Config) doneState() string {
	if c.OldLoader {
		return "RELOADDONE"
	}
	return "RELOADDONEV2"
}

// loaded waits for the server to reboot the node.
func (b *boot) loaded() stage {
	if b.cfg.OldLoader {
		return b.reset("the disk loader is done")
	}
	begin := time.Now()
	b.pause(b.cfg.Timing.RebootWait)
	return b.reset("nobody rebooted the node for %v", time.Since(begin).Round(time.Second))
}
