package tmcc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

// exchangeUDP sends one datagram and takes the first that comes back. An empty
// reply of a C server is no datagram: only a time-out ends the wait.
func (c *call) exchangeUDP(ctx context.Context, out io.Writer) (redirect string, err error) {
	request := c.req.Bytes()
	if len(request) > datagramDataMax {
		return "", fmt.Errorf("tmcc: a request of %d bytes is too long for UDP", len(request))
	}
	addr, err := c.resolve(ctx)
	if err != nil {
		return "", err
	}
	dialer := net.Dialer{}
	if c.Bind.IsValid() {
		dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.Bind, 0))
	}
	conn, err := dialer.DialContext(ctx, "udp", net.JoinHostPort(addr.String(), strconv.Itoa(int(c.ports()[0]))))
	if err != nil {
		return "", fmt.Errorf("tmcc: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := conn.Write(request); err != nil {
		return "", fmt.Errorf("tmcc: sending: %w", err)
	}
	buf := make([]byte, datagramMax)
	n, err := conn.Read(buf)
	if err != nil {
		return "", fmt.Errorf("tmcc: receiving: %w", err)
	}
	return c.receive(datagramConn{conn, bytes.NewReader(buf[:n])}, out)
}

// datagramConn reads one datagram as a stream.
type datagramConn struct {
	net.Conn
	in *bytes.Reader
}

func (d datagramConn) Read(b []byte) (int, error) { return d.in.Read(b) }
