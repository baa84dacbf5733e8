package master

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"hyzer/multicast/wire"
)

// queryTimeout bounds a question whose context has no earlier deadline. C
// servers sleep two seconds for each session that they start before ours.
const queryTimeout = 2 * time.Minute

// Query is a question to a master server.
type Query struct {
	Server netip.AddrPort
	// From is the address to ask from; not valid: by the routes.
	From    netip.Addr
	Request wire.GetRequest
}

// Answer is a reply, and the address it came to, which is on the interface to
// use for the session.
type Answer struct {
	wire.GetReply
	Local netip.Addr
}

// Get asks a master server. The error wraps the wire.MasterError of a refusal;
// the answer is valid then too (MasterTryAgain may have a signature and size).
func Get(ctx context.Context, q Query) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	msg, err := q.Request.Append(nil)
	if err != nil {
		return Answer{}, err
	}
	a, err := q.exchange(ctx, msg)
	if err == nil && a.Error != wire.MasterOK {
		err = a.Error
	}
	if err != nil {
		return a, fmt.Errorf("asking %v for image %s: %w", q.Server, q.Request.ImageID, err)
	}
	return a, nil
}

func (q Query) exchange(ctx context.Context, msg []byte) (Answer, error) {
	var d net.Dialer
	if q.From.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(q.From, 0))
	}
	c, err := d.DialContext(ctx, "tcp4", q.Server.String())
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// In one write: C servers read only once.
	if _, err := c.Write(msg); err != nil {
		return Answer{}, err
	}
	raw, err := readMessage(c)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Answer{}, fmt.Errorf("reading the reply: %w", err)
	}
	reply, err := wire.ParseGetReply(raw)
	return Answer{reply, addrOf(c.LocalAddr())}, err
}
