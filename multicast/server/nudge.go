package server

import "time"

// An old client that lost something says so only after three receive timeouts
// of 30 ms, for chunks that are not complete bring no next request; so with
// loss it waits most of the time. A datagram that is no packet counts as a
// timeout to it (A6), and is nothing to anybody else. So when all that is wanted
// has been sent, some of those have old clients ask at once.
const (
	// nudgePackets is how many are sent: three are needed, and one may be lost.
	nudgePackets = 4
	// nudgeText is shorter than a header, so no packet.
	nudgeText = "ask again\n"
	// nudgeAfter is the time that those who ask by themselves have to do so.
	nudgeAfter = 3 * time.Millisecond
	// nudgeClientsMax is in how large a session they are sent: all clients answer
	// at once.
	nudgeClientsMax = 64
	// nudgeMemory is how long ago an old client may have lacked something.
	nudgeMemory = 5 * time.Second
)

// nudge has old clients ask. There is one after each range of blocks that
// nothing follows.
type nudge struct {
	lackedAt time.Time // when an old client last asked for part of a chunk
	sentAt   time.Time // of the blocks before the latest nudge
	left     int       // packets
}

// datagram returns one packet of a nudge, or nil and when one is due, if ever.
func (n *nudge) datagram(now, blocksAt time.Time) ([]byte, time.Time) {
	if n.left == 0 || blocksAt.After(n.sentAt) { // what was left of the one before comes too late
		switch due := blocksAt.Add(nudgeAfter); {
		case n.lackedAt.IsZero() || now.Sub(n.lackedAt) > nudgeMemory || !blocksAt.After(n.sentAt):
			return nil, time.Time{}
		case now.Before(due):
			return nil, due
		}
		n.sentAt, n.left = blocksAt, nudgePackets
	}
	n.left--
	return append([]byte(nil), nudgeText...), time.Time{}
}

// nudgeOld is what to send to old clients while nothing is wanted, or when. A
// session of a fixed rate sends what the C server does, and no more.
func (s *Session) nudgeOld(now time.Time) ([]byte, time.Time) {
	if n := s.clients.len(); !s.pace.dynamic || n == 0 || n > nudgeClientsMax {
		return nil, time.Time{}
	}
	return s.nudge.datagram(now, s.gather.sentAt)
}
