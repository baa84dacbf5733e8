package server

import (
	"log/slog"
	"net/netip"
	"time"

	"hyzer/multicast/wire"
)

// eventsMax bounds the events that wait for the shell to hand them out; more
// in one batch of datagrams are dropped.
const eventsMax = 256

// saidLinesMax is how many joins and leaves are in the log for each saidPeriod:
// anybody can join under a thousand names.
const (
	saidLinesMax = 2 * clientsMax
	saidPeriod   = time.Minute
)

// said counts them.
type said struct {
	from  time.Time // of this period
	lines int
}

// more says whether there is room for another line.
func (s *said) more(now time.Time, log *slog.Logger) bool {
	if now.Sub(s.from) >= saidPeriod {
		if s.lines > saidLinesMax {
			log.Warn("clients joined and left without a line here", "joins_and_leaves", s.lines-saidLinesMax)
		}
		*s = said{from: now}
	}
	s.lines++
	return s.lines <= saidLinesMax
}

// EventKind says what an Event is about.
type EventKind int

// The kinds of events.
const (
	ClientJoined EventKind = iota + 1
	ClientLeft             // Stats is set if the client sent them
	ClientReport           // Report is set
)

// Event is something a client told the session.
type Event struct {
	Kind     EventKind
	Client   netip.Addr // for a report, the address it is about
	ID       uint32
	Clients  int   // there are now
	V2       bool  // it joined by a JOIN2
	ElapsedS int32 // as it said when it left
	Stats    *wire.Stats
	Report   *wire.Progress
}
