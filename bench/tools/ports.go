package tools

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports that Ports chooses from are below those that the kernel gives to
// whoever asks for any (ip_local_port_range, 32768 to 60999 as Linux has it).
const (
	portFirst = 10_000
	portLast  = 32_000
	portTries = 1000
)

// Ports finds n ports in a row that are free for UDP and TCP on 127.0.0.1, and
// returns the first. They are for what cannot be told to take any port: one
// that the kernel chose, and that is let go of, may be chosen again before it
// is used.
func Ports(t testing.TB, n int) uint16 {
	t.Helper()
	for range portTries {
		first := portFirst + rand.IntN(portLast-portFirst-n)
		if portsFree(first, n) {
			return uint16(first)
		}
	}
	t.Fatalf("no %d ports in a row are free on 127.0.0.1", n)
	return 0
}

func portsFree(first, n int) bool {
	for port := first; port < first+n; port++ {
		at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		u, err := net.ListenPacket("udp4", at)
		if err != nil {
			return false
		}
		u.Close()
		l, err := net.Listen("tcp4", at)
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
