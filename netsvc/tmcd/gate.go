package tmcd

import (
	"net"
	"net/netip"
	"sync"
)

// gate knows the open connections, so that one address cannot have too many.
type gate struct {
	mu     sync.Mutex
	conns  map[net.Conn]netip.Addr
	byAddr map[netip.Addr]int
	closed bool
}

func newGate() *gate {
	return &gate{conns: map[net.Conn]netip.Addr{}, byAddr: map[netip.Addr]int{}}
}

// enter admits a connection, or says no. The appliance itself (mayRedirect)
// asks for many nodes and is not limited.
func (g *gate) enter(conn net.Conn, from netip.Addr, own bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || !own && g.byAddr[from] >= connectionsPerAddrMax {
		return false
	}
	g.conns[conn] = from
	g.byAddr[from]++
	return true
}

func (g *gate) leave(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.conns[conn]
	delete(g.conns, conn)
	if g.byAddr[from]--; g.byAddr[from] <= 0 {
		delete(g.byAddr, from)
	}
}

// closeAll interrupts the reads and writes of every connection. It resets them:
// a clean end would tell a client whose request is cut short that it was done.
func (g *gate) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for conn := range g.conns {
		abort(conn)
	}
}
