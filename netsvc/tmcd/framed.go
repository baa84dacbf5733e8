package tmcd

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync"

	"hyzer/netsvc/tmc2"
)

// framedState is what all framed connections of a server share (docs/tmc2.md).
type framedState struct {
	run     tmc2.BootID // of this server, so that a client sees that its answers are forgotten
	answers *answers
	dgrams  *datagramAnswers
	logs    LiveLogs // nil: no bootlog-stream

	watches watches

	mu     sync.Mutex
	conns  map[*framedConn]struct{}
	placed int // connections that do not rest
	byAddr map[netip.Addr]int
	closed bool
}

func newFramedState(cfg *Config) *framedState {
	f := &framedState{answers: newAnswers(), dgrams: newDatagramAnswers(), watches: newWatches(cfg.watchesMax()),
		conns: map[*framedConn]struct{}{}, byAddr: map[netip.Addr]int{}}
	_, _ = rand.Read(f.run[:]) // which never fails
	// Clients remember the last wish that they were told, also of a server
	// before this one.
	f.watches.wishes = binary.BigEndian.Uint64(f.run[:]) >> 1
	if keeper, ok := cfg.Effects.(interface{ LiveLogs() LiveLogs }); ok {
		f.logs = keeper.LiveLogs()
	}
	return f
}

// enter admits a connection, or says with which code not.
func (f *framedState) enter(c *framedConn, perAddrMax int) tmc2.Code {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return tmc2.CodeGoingAway
	case f.placed >= framedConnectionsMax || f.byAddr[c.from] >= perAddrMax:
		return tmc2.CodeBusy
	}
	f.conns[c] = struct{}{}
	f.placed++
	f.byAddr[c.from]++
	return tmc2.CodeOK
}

// rest is a connection that is no longer counted; its address's are.
func (f *framedState) rest() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.placed--
}

// wake counts a connection again, unless there are enough.
func (f *framedState) wake() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.placed >= framedConnectionsMax {
		return false
	}
	f.placed++
	return true
}

func (f *framedState) leave(c *framedConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
	if !c.resting { // nothing works on it any more
		f.placed--
	}
	if f.byAddr[c.from]--; f.byAddr[c.from] <= 0 {
		delete(f.byAddr, c.from)
	}
}

// stop asks every connection to finish what it has begun.
func (f *framedState) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.conns {
		c.drain()
	}
}

// framedPerAddr is how many framed connections an address may have.
func (s *Server) framedPerAddr(from netip.Addr) int {
	snapshot := s.cfg.Snapshot()
	if mayRedirect(snapshot, from) {
		return framedConnectionsMax
	}
	if port, ok := snapshot.NodeByIP(from); ok && len(snapshot.Guests(port.Node.ID)) > 0 {
		return framedPerHostMax
	}
	return framedPerNodeMax
}
