package server

import (
	"log/slog"
	"time"
)

// Stats counts what a session did. The C server logs the like at its exit.
type Stats struct {
	Clients           int // now
	ClientsMost       int // at one time
	Joins             uint64
	Leaves            uint64
	Reports           uint64
	ReportsMissed     uint64 // gaps in the reports' numbering
	DatagramsIn       uint64
	DatagramsOut      uint64
	DatagramsRefused  uint64 // malformed, mis-sourced or out of range
	Requests          uint64 // REQUEST and PREQUEST
	RequestsMerged    uint64 // into what was queued
	RequestsDropped   uint64 // the queue was full
	PartialRequests   uint64
	PartialBlocks     uint64 // asked for by those
	DuplicateRequests uint64 // for the chunk that was being sent whole
	ReRequests        uint64 // clients that asked for a chunk again
	BlocksSent        uint64
	BlocksRepeated    uint64 // 0 for images above 64 GiB
	Naks              uint64 // of mode 2
	NaksMerged        uint64 // into rounds that were to come, or had been sent
	ParitySent        uint64
	ManifestSent      uint64        // blocks of the manifest
	Flows             uint64        // reports of clients that cannot keep up
	SocketDrops       uint64        // datagrams that found no room in clients' sockets, not lost on the way
	RoundTrip         time.Duration // longest of late, 0: not known
	Reads             Timing        // of the image
	Writes            Timing        // of datagrams, many at once
	Overruns          uint64        // sends the kernel had no room for
	Intervals         uint64
	IntervalsMissed   uint64
	QueueElementsMost int
	QueueBlocksMost   int
	BitsPerSec        int64 // present cap, 0: unpaced
	FlowBitsPerSec    int64 // what clients can take, 0: not known
	Elapsed           time.Duration
	Service           time.Duration // from the first client's JOIN to the last that was heard or sent
	Idles             uint64        // how often there was nothing to send
	Spurious          uint64        // wake-ups that found nothing either
	Blocked           uint64        // waits for the image to be read
	Burst             int           // blocks, at present; 0: unpaced
	BurstInterval     time.Duration
	BurstChanges      BurstChanges
}

// BurstChanges is how a dynamic rate changed.
type BurstChanges struct {
	Raised, Cut uint64
	Least, Most int // blocks of a burst
}

func (c *BurstChanges) note(was, is int) {
	if c.Most == 0 {
		c.Least, c.Most = was, was
	}
	switch {
	case is > was:
		c.Raised++
	case is < was:
		c.Cut++
	}
	c.Least, c.Most = min(c.Least, is), max(c.Most, is)
}

// rested counts a rest, with what was sent until then.
func (s *Stats) rested(sentAtLastRest uint64) {
	if s.DatagramsOut+1 == sentAtLastRest {
		s.Spurious++
		return
	}
	s.Idles++
}

// LogValue makes Stats one group of fields in a log.
func (s Stats) LogValue() slog.Value {
	return slog.GroupValue(
		slog.Int("clients_most", s.ClientsMost), slog.Uint64("joins", s.Joins), slog.Uint64("leaves", s.Leaves),
		slog.Uint64("requests", s.Requests), slog.Uint64("requests_merged", s.RequestsMerged),
		slog.Uint64("requests_dropped", s.RequestsDropped), slog.Uint64("partial_requests", s.PartialRequests),
		slog.Uint64("rerequests", s.ReRequests), slog.Uint64("blocks_sent", s.BlocksSent),
		slog.Uint64("blocks_repeated", s.BlocksRepeated), slog.Uint64("naks", s.Naks), slog.Uint64("parity_sent", s.ParitySent),
		slog.Uint64("manifest_sent", s.ManifestSent),
		slog.Uint64("flows", s.Flows), slog.Uint64("socket_drops", s.SocketDrops),
		slog.Uint64("refused", s.DatagramsRefused),
		slog.Uint64("overruns", s.Overruns), slog.Uint64("intervals_missed", s.IntervalsMissed),
		slog.Duration("elapsed", s.Elapsed),
	)
}
