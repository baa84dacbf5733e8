package client

import (
	"fmt"

	"hyzer/multicast/wire"
)

// joined prints the first line that scripts wait for, as the old client did,
// -q or not.
func (c *command) joined(id uint32, geo wire.Geometry, afterS int) {
	fmt.Fprintf(c.stderr, "Joined the team after %d sec. ID is %d. File is %d chunks (%d bytes)\n", afterS, id, geo.Chunks(), geo.FileBytes())
}

// report prints what the old client ends with, in its words and where it did:
// on standard error, the counts only without -q.
func (c *command) report(r Result, realBytes, effectiveBytes int64) {
	if !c.quiet {
		c.counts(r, realBytes, effectiveBytes)
	}
	fmt.Fprintf(c.stderr, "Left the team after %d seconds on the field!\nWrote %d bytes (%d actual)\n", r.Stats.RunSec, effectiveBytes, realBytes)
}

func (c *command) counts(r Result, realBytes, effectiveBytes int64) {
	s, w := &r.Stats, c.stderr
	perSec := func(bytes int64) int64 { return bytes / max(int64(s.RunSec), 1) }
	fmt.Fprintf(w, "\nClient %d Performance:\n  runtime:                %d.%03d sec\n", r.ID, s.RunSec, s.RunMsec)
	fmt.Fprintf(w, "  real data written:      %d (%d Bps)\n  effective data written: %d (%d Bps)\n",
		realBytes, perSec(realBytes), effectiveBytes, perSec(effectiveBytes))
	fmt.Fprintf(w, "Client %d Params:\n  chunk/block size:     %d/%d\n  chunk buffers:        %d\n  readahead/inprogress: %d/%d\n",
		r.ID, wire.ChunkBlocks, wire.BlockBytes, s.ChunkBufs, s.MaxReadAhead, s.MaxInProgress)
	fmt.Fprintf(w, "Client %d Stats:\n  join/request msgs:       %d/%d\n  dupblocks(chunk done):   %d\n  dupblocks(in progress):  %d\n",
		r.ID, s.JoinAttempts, s.Requests, s.DupChunk, s.DupBlock)
	fmt.Fprintf(w, "  partial requests/blocks: %d/%d\n  re-requests:             %d\n  full chunk re-requests:  %d\n  partially-filled drops:  %d\n\n",
		s.PRequests, s.LostBlocks, s.ReRequests, s.FullReRequests, s.PartialDrops)
}
