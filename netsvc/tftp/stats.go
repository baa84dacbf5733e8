package tftp

import (
	"context"
	"log/slog"
	"sync/atomic"

	"hyzer/netsvc/bootfiles"
)

// Stats are counts since the start of the server.
type Stats struct {
	Transfers   int64 // ended well
	Failures    int64 // ended by the client, by silence, by a read error
	Probes      int64 // ended after the size was told
	Bytes       int64 // acknowledged
	Retransmits int64 // time-outs that made us send again
	Refused     int64 // answered with an ERROR: no such file, not allowed, malformed
	Dropped     int64 // requests over a limit, not answered
	Repeated    int64 // copies of a request already being served
	Ignored     int64 // packets to the request port that are no requests
	Active      int   // transfers now
}

type counters struct {
	transfers, failures, probes, bytes, retransmits, refused, dropped, repeated, ignored atomic.Int64
}

// Stats reads the counters. They are not one consistent cut.
func (s *Server) Stats() Stats {
	c := &s.counters
	s.slotsMu.Lock()
	active := s.slots.used
	s.slotsMu.Unlock()
	return Stats{
		Transfers: c.transfers.Load(), Failures: c.failures.Load(), Probes: c.probes.Load(),
		Bytes: c.bytes.Load(), Retransmits: c.retransmits.Load(), Refused: c.refused.Load(),
		Dropped: c.dropped.Load(), Repeated: c.repeated.Load(), Ignored: c.ignored.Load(), Active: active,
	}
}

// report counts, logs and passes on one ended transfer.
func (s *Server) report(t Transfer) {
	c := &s.counters
	c.bytes.Add(t.Bytes)
	level, text := slog.LevelInfo, "sent"
	switch {
	case t.Probe: // firmware does this at every boot
		c.probes.Add(1)
		level, text = slog.LevelDebug, "size asked"
	case t.Refused: // pxelinux looks for nine absent files before it finds one
		c.refused.Add(1)
		level, text = refusalLevel(t.Err), "request refused"
	case t.Err != nil:
		c.failures.Add(1)
		level, text = slog.LevelWarn, "transfer failed"
	default:
		c.transfers.Add(1)
	}
	if s.log.Enabled(context.Background(), level) {
		s.log.Log(context.Background(), level, text, attrs(t)...)
	}
	if s.cfg.OnDone != nil {
		s.cfg.OnDone(t)
	}
}

func refusalLevel(err error) slog.Level {
	if refuseOpen(err).code == CodeNotFound {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

func attrs(t Transfer) []any {
	a := []any{"client", t.Client, "name", bootfiles.LogName(t.Name), "bytes", t.Bytes, "size", t.Size,
		"duration", t.Duration, "retransmits", t.Retransmits}
	if t.Err != nil {
		a = append(a, "err", bootfiles.LogName(t.Err.Error()))
	}
	return a
}
