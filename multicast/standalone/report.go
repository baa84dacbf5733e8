package standalone

import (
	"fmt"
	"io"
	"math"

	"golang.org/x/sys/unix"

	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// report prints what the old program ends with, in its words, as far as it
// means anything here.
func (c *command) report(w io.Writer, s server.Stats) {
	sockKB := c.cfg.SocketBufferBytes >> 10
	if sockKB == 0 {
		sockKB = 1024
	}
	fmt.Fprintf(w, "Params:\n  chunk/block size    %d/%d\n  sockbuf size        %d KB\n", wire.ChunkBlocks, wire.BlockBytes, sockKB)
	fmt.Fprintf(w, "  bandwidth           %.3f Mbit/sec\n  file:size           %s:%d\n", float64(s.BitsPerSec)/1e6, c.file, c.cfg.Image.Size())
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) != nil {
		use = unix.Rusage{}
	}
	cpu := func(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	fmt.Fprintf(w, "Stats:\n  service time:      %.3f sec\n  user/sys CPU time: %.3f/%.3f\n", s.Elapsed.Seconds(), cpu(use.Utime), cpu(use.Stime))
	for _, line := range []struct {
		name   string
		values string
	}{
		{"max/total clients", fmt.Sprintf("%d/%d", s.ClientsMost, min(s.Joins, math.MaxInt32))},
		{"msgs in/out", fmt.Sprintf("%d/%d", s.DatagramsIn, s.DatagramsOut)},
		{"joins/leaves", fmt.Sprintf("%d/%d", s.Joins, s.Leaves)},
		{"reports recv/log", fmt.Sprintf("%d/%d", s.Reports, s.ReportsMissed)},
		{"requests", fmt.Sprintf("%d (%d merged in queue)", s.Requests, s.RequestsMerged)},
		{"partial req/blks", fmt.Sprintf("%d/%d", s.PartialRequests, s.PartialBlocks)},
		{"duplicate req", fmt.Sprint(s.DuplicateRequests)},
		{"client re-req", fmt.Sprint(s.ReRequests)},
		{"1k blocks sent", fmt.Sprintf("%d (%d repeated)", s.BlocksSent, s.BlocksRepeated)},
		{"file bytes read", fmt.Sprint(s.Reads.Bytes)},
		{"send intvl/missed", fmt.Sprintf("%d/%d", s.Intervals, s.IntervalsMissed)},
		{"sendbuf overruns", fmt.Sprint(s.Overruns)},
		{"max workq size", fmt.Sprintf("%d elts, %d blocks", s.QueueElementsMost, s.QueueBlocksMost)},
	} {
		fmt.Fprintf(w, "  %-18s %s\n", line.name+":", line.values)
	}
	fmt.Fprintln(w, "Exiting!")
}
