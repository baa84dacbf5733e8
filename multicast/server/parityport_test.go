package server

import (
	"errors"
	"net/netip"
	"syscall"
	"testing"
)

// TestParityPorts: sessions take ports of the range one after the other, never
// their own, and say so when there is none left.
func TestParityPorts(t *testing.T) {
	t.Parallel()
	probe, err := Open(Config{Image: sized(1 << 20), Address: netip.MustParseAddrPort("239.197.1.1:0"), Iface: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	first := probe.Address().Port()
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	last := min(first, 65530) + 4
	ports := map[uint16]bool{}
	for n := range 8 {
		s, err := Open(Config{
			Image: sized(1 << 20), Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{239, 197, 2, byte(n)}), 0), Iface: netip.MustParseAddr("127.0.0.1"),
			Mode2: true, FirstParityPort: first, LastParityPort: last,
		})
		if errors.Is(err, syscall.EADDRINUSE) {
			break // others on this machine take some too
		}
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		port := s.parity.Local().Port()
		if port < first || port > last || ports[port] || port == s.Address().Port() {
			t.Errorf("port %d of %d to %d, had %v, session at %v", port, first, last, ports, s.Address())
		}
		ports[port] = true
	}
	if len(ports) == 0 || len(ports) > 5 {
		t.Errorf("%d sessions opened with 5 ports", len(ports))
	}
}

// sized is an image of zeros.
type sized int64

func (s sized) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }
func (s sized) Close() error                          { return nil }
func (s sized) Name() string                          { return "zeros" }
func (s sized) Size() int64                           { return int64(s) }
func (s sized) Check() error                          { return nil }
func (s sized) Prefetch(int64, int64)                 {}
