package sock

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// lookupTimeout bounds the question for a name.
const lookupTimeout = time.Minute

// Host reads an IPv4 address of a command line, or finds that of a name, as the
// old programs did for servers, interfaces and other hosts.
func Host(s string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", s)
	if err != nil {
		return netip.Addr{}, err
	}
	return found[0].Unmap(), nil
}
