package httpboot

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// Bounds on what strangers can make the server hold. Config may set those that
// depend on the site.
const (
	connectionsMaxDefault          = 4096
	connectionsPerClientMaxDefault = 64 // a host of virtual nodes has one address
	headerBytesMax                 = 8 << 10
	headerTimeout                  = 10 * time.Second
	idleTimeout                    = 30 * time.Second
	writeTimeoutDefault            = 30 * time.Second // without any progress
	shutdownTimeMax                = 2 * time.Second
)

// limitedListener closes connections over the limits as soon as they come: a
// client tries again, and those that are served are not slowed down.
type limitedListener struct {
	net.Listener
	max, perClientMax int
	refused           func(netip.Addr)

	mu       sync.Mutex
	used     int
	byClient map[netip.Addr]int // no more entries than connections
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client := remote(conn)
		if l.take(client) {
			return &limitedConn{Conn: conn, release: sync.OnceFunc(func() { l.release(client) })}, nil
		}
		conn.Close()
		l.refused(client)
	}
}

func (l *limitedListener) take(client netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used >= l.max || l.byClient[client] >= l.perClientMax {
		return false
	}
	l.used++
	l.byClient[client]++
	return true
}

func (l *limitedListener) release(client netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used--
	if l.byClient[client]--; l.byClient[client] == 0 {
		delete(l.byClient, client)
	}
}

func (l *limitedListener) active() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

func remote(conn net.Conn) netip.Addr {
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
