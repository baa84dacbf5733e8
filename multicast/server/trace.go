package server

import (
	"net/netip"
	"time"

	"hyzer/multicast/wire"
)

// TraceEntry is a packet that came, or packets that went.
type TraceEntry struct {
	At   time.Time
	Peer netip.Addr // it came from; not valid: we sent it
	// Kind is the type of what came; what was sent is in Action.
	Kind wire.Subtype
	// Chunk, First and Count are the blocks that were asked for or sent; Count 0:
	// it is not about blocks.
	Chunk, First, Count int
	Action              ActionKind
}

// traceReceived tells Config.Trace of what comes to the session's port.
func (s *Server) traceReceived(now time.Time, from netip.Addr, datagram []byte) {
	h, body, err := wire.Split(datagram)
	if err != nil || h.Type != wire.Request && h.Subtype != wire.SubProgress {
		return
	}
	e := TraceEntry{At: now, Peer: from, Kind: h.Subtype}
	switch h.Subtype {
	case wire.SubRequest:
		if r, err := wire.ParseRequest(body); err == nil {
			e.Chunk, e.First, e.Count = int(r.Chunk), int(r.Block), int(r.Count)
		}
	case wire.SubPRequest:
		var p wire.PartialRequest
		if wire.ParsePartialRequest(&p, body) == nil {
			e.Chunk, e.First, e.Count = int(p.Chunk), p.Wanted.First(), p.Wanted.Count()
		}
	}
	s.cfg.Trace(e)
}

// traceSent tells Config.Trace of what the session sends.
func (s *Server) traceSent(now time.Time, a Action) {
	if a.Kind != ActSleep && a.Kind != ActFinish {
		s.cfg.Trace(TraceEntry{At: now, Action: a.Kind, Chunk: a.Chunk, First: a.First, Count: a.Count})
	}
}
