package standalone

import (
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// sockBufferKB is what sockets have unless -k says otherwise.
const sockBufferKB = 1024

// report prints what the old program ends with.
func (l *lines) report(s server.Stats) {
	var use unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &use) != nil {
		use = unix.Rusage{}
	}
	fmt.Fprint(l.w, l.params(s), statsText(s, l.cfg.Image.Size(), &use))
	if l.cfg.Pace.Dynamic {
		fmt.Fprint(l.w, burstText(s))
	}
	fmt.Fprintln(l.w, "Exiting!")
}

func (c *command) sockKB() int {
	if c.cfg.SocketBufferBytes == 0 {
		return sockBufferKB
	}
	return c.cfg.SocketBufferBytes >> 10
}

func (l *lines) params(s server.Stats) string {
	return fmt.Sprintf("Params:\n  chunk/block size    %d/%d\n  sockbuf size        %d KB\n  burst size/interval %d/%d\n"+
		"  bandwidth           %.3f Mbit/sec\n  file read size      %d blocks\n  file:size           %s:%d\n",
		wire.ChunkBlocks, wire.BlockBytes, l.sockKB(), s.Burst, s.BurstInterval.Microseconds(),
		float64(s.BitsPerSec)/1e6, l.cfg.ReadBlocks, l.file, l.cfg.Image.Size())
}

// statsText is the counts. What is written to sockets goes out in one call for
// many blocks; an op is a call.
func statsText(s server.Stats, fileBytes int64, use *unix.Rusage) string {
	var b strings.Builder
	cpu := func(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	fmt.Fprintf(&b, "Stats:\n  service time:      %.3f sec\n  user/sys CPU time: %.3f/%.3f\n", s.Service.Seconds(), cpu(use.Utime), cpu(use.Stime))
	repeated := s.Reads.Bytes - min(s.Reads.Bytes, uint64(fileBytes))
	for _, line := range [][2]string{
		{"max/total clients", fmt.Sprintf("%d/%d", s.ClientsMost, min(s.Joins, math.MaxInt32))},
		{"msgs in/out", fmt.Sprintf("%d/%d", s.DatagramsIn, s.DatagramsOut)},
		{"joins/leaves", fmt.Sprintf("%d/%d", s.Joins, s.Leaves)},
		{"reports recv/log", fmt.Sprintf("%d/%d", s.Reports, s.Reports)},
		{"requests", fmt.Sprintf("%d (%d merged in queue)", s.Requests, s.RequestsMerged)},
		{"partial req/blks", fmt.Sprintf("%d/%d", s.PartialRequests, s.PartialBlocks)},
		{"duplicate req", fmt.Sprint(s.DuplicateRequests)},
		{"client re-req", fmt.Sprint(s.ReRequests)},
		{"1k blocks sent", fmt.Sprintf("%d (%d repeated)", s.BlocksSent, s.BlocksRepeated)},
		{"block write time", fmt.Sprintf("%s, %d 1ms+)", strings.TrimSuffix(opTimes(s.Writes), ")"), s.Writes.Slow)},
		{"file reads", fmt.Sprintf("%d (%d bytes, %d repeated)", s.Reads.Calls, s.Reads.Bytes, repeated)},
		{"file read time", opTimes(s.Reads)},
		{"net idle/blocked", fmt.Sprintf("%d/%d", s.Idles, s.Blocked)},
		{"send intvl/missed", fmt.Sprintf("%d/%d", s.Intervals, s.IntervalsMissed)},
		{"sendbuf overruns", fmt.Sprint(s.Overruns)},
		{"spurious wakeups", fmt.Sprint(s.Spurious)},
		{"max workq size", fmt.Sprintf("%d elts, %d blocks", s.QueueElementsMost, s.QueueBlocksMost)},
	} {
		fmt.Fprintf(&b, "  %-18s %s\n", line[0]+":", line[1])
	}
	return b.String()
}

func opTimes(t server.Timing) string {
	each := t.Took / time.Duration(max(t.Calls, 1))
	return fmt.Sprintf("%.3f sec (%d us/op, %d us max)", t.Took.Seconds(), each.Microseconds(), t.Longest.Microseconds())
}

// burstText is how a dynamic rate went.
func burstText(s server.Stats) string {
	c := s.BurstChanges
	if c.Most == 0 {
		c.Least, c.Most = s.Burst, s.Burst
	}
	mbits := func(burst int) float64 {
		return float64(burst) * server.WireBitsPerBlock / max(s.BurstInterval.Seconds(), 1e-9) / 1e6
	}
	return fmt.Sprintf("  dynburst incr/decr %d/%d\n    min/max burst    %d/%d\n    min/max bw       %.3f/%.3f Mbit/sec\n",
		c.Raised, c.Cut, c.Least, c.Most, mbits(c.Least), mbits(c.Most))
}
