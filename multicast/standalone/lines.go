package standalone

import (
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// lines prints what the old program does, in its words, which scripts read.
type lines struct {
	*command
	w io.Writer
}

// opened says what is sent where.
func (l *lines) opened(at netip.AddrPort) {
	bytes := l.cfg.Image.Size()
	fmt.Fprintf(l.w, "Opened %s: %d blocks (%d bytes)\n", l.file, (bytes+wire.BlockBytes-1)/wire.BlockBytes, bytes)
	switch {
	case l.cfg.Broadcast:
		fmt.Fprintln(l.w, "Setting broadcast mode")
	case at.Addr().IsMulticast():
		fmt.Fprintf(l.w, "Using Multicast %v\n", at.Addr())
	}
	fmt.Fprintf(l.w, "Bound to %v\n", at)
	if l.eventServer != "" {
		fmt.Fprintf(l.w, "Events for %s are printed, not sent\n", l.eventServer)
	}
}

// event prints what a client said. It is called once at a time.
func (l *lines) event(e server.Event) {
	now := time.Now().Format(time.TimeOnly)
	switch e.Kind {
	case server.ClientJoined:
		version := 1
		if e.V2 {
			version = 2
		}
		fmt.Fprintf(l.w, "%v (id %d, image %s) joins (v%d) at %s!  %d active clients.\n", e.Client, e.ID, l.file, version, now, e.Clients)
	case server.ClientLeft:
		fmt.Fprintf(l.w, "%v (id %d, image %s): leaves at %s, ran for %d seconds.  %d active clients\n", e.Client, e.ID, l.file, now, e.ElapsedS, e.Clients)
		if e.Stats != nil {
			fmt.Fprint(l.w, clientStats(e.ID, e.Stats, l.sockKB()))
		}
		if e.Clients == 0 {
			fmt.Fprintln(l.w, "Last client left!")
		}
	case server.ClientReport:
		l.reported(e)
	}
}

func (l *lines) reported(e server.Event) {
	r := e.Report
	if r.What&wire.WhatSummary != 0 {
		fmt.Fprintf(l.w, "%v (id %d): reports summary at %d: recv=%d, decomp=%d, written=%d\n",
			e.Client, e.ID, r.When, r.Summary.ChunksIn, r.Summary.ChunksOut, r.Summary.BytesOut)
	}
	if r.What&wire.WhatStats != 0 {
		fmt.Fprint(l.w, clientStats(e.ID, &r.Stats, l.sockKB()))
	}
	if l.eventServer != "" {
		fmt.Fprintln(l.w, reportEvent(l.file, e))
	}
}

// reportEvent is the event of a report (spec frisbee A5, Heartbeats).
func reportEvent(file string, e server.Event) string {
	r := e.Report
	return fmt.Sprintf("event: OBJTYPE=FRISBEESTATUS OBJNAME=%v EVENTTYPE=%s TSTAMP=%d SEQUENCE=%d CHUNKS_RECV=%d CHUNKS_DECOMP=%d MBYTES_WRITTEN=%d",
		e.Client, imageOf(file), r.When, r.Seq, r.Summary.ChunksIn, r.Summary.ChunksOut, r.Summary.BytesOut>>20)
}

// imageOf guesses an image's name, project/name[:version][,sig], from its path:
// images lie in folders of their project, or of its folder of images.
func imageOf(path string) string {
	base, dir := filepath.Base(path), filepath.Dir(path)
	sig := ""
	if at := strings.TrimSuffix(base, ".sig"); at != base {
		base, sig = at, ",sig"
	}
	name, version, _ := strings.Cut(base, ".ndz")
	if filepath.Base(dir) == name { // with a folder for its versions
		dir = filepath.Dir(dir)
	}
	if filepath.Base(dir) == "images" && filepath.Base(filepath.Dir(dir)) != "testbed" {
		dir = filepath.Dir(dir)
	}
	return filepath.Base(dir) + "/" + name + version + sig
}

// clientStats is what the old server prints of a client that leaves. The size of
// the socket's buffer is our own, for clients do not say theirs.
func clientStats(id uint32, s *wire.Stats, sockKB int) string {
	var b strings.Builder
	perSec := func(bytes uint64) uint64 { return bytes / uint64(max(s.RunSec, 1)) }
	fmt.Fprintf(&b, "Client %d Performance:\n  runtime:                %d.%03d sec\n  start delay:            %d.%03d sec\n",
		id, s.RunSec, s.RunMsec, s.DelayMS/1000, s.DelayMS%1000)
	fmt.Fprintf(&b, "  real data written:      %d (%d Bps)\n  effective data written: %d (%d Bps)\n",
		s.RealBytes, perSec(s.RealBytes), s.EffectiveBytes, perSec(s.EffectiveBytes))
	fmt.Fprintf(&b, "Client %d Params:\n  chunk/block size:     %d/%d\n  chunk buffers:        %d\n  disk buffering (MB):  %d\n  sockbuf size (KB):    %d\n",
		id, wire.ChunkBlocks, wire.BlockBytes, s.ChunkBufs, s.WriteBufMemMB, sockKB)
	fmt.Fprintf(&b, "  readahead/inprogress: %d/%d\n  recv timo/count:      %d/%d\n  re-request delay:     %d\n  writer idle delay:    %d\n  randomize requests:   %d\n",
		s.MaxReadAhead, s.MaxInProgress, s.PktTimeoutUS, s.IdleTimer, s.RedoDelayUS, s.IdleDelayUS, s.Randomize)
	fmt.Fprintf(&b, "Client %d Stats:\n  net thread idle/blocked:        %d/%d\n  decompress thread idle/blocked: %d/%d\n  disk thread idle:        %d\n",
		id, s.RecvIdles, s.NoFreeChunks, s.NoChunksReady, s.DecompBlocks, s.WriterIdles)
	fmt.Fprintf(&b, "  join/request msgs:       %d/%d\n  dupblocks(chunk done):   %d\n  dupblocks(in progress):  %d\n",
		s.JoinAttempts, s.Requests, s.DupChunk, s.DupBlock)
	fmt.Fprintf(&b, "  partial requests/blocks: %d/%d\n  re-requests:             %d\n  full chunk re-requests:  %d\n  partially-filled drops:  %d\n",
		s.PRequests, s.LostBlocks, s.ReRequests, s.FullReRequests, s.PartialDrops)
	return b.String()
}
