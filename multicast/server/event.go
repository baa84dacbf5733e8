package server

import (
	"net/netip"

	"hyzer/multicast/wire"
)

// eventsMax bounds the events that wait for the shell to hand them out; more
// in one batch of datagrams are dropped.
const eventsMax = 256

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
