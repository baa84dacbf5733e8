package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"hyzer/multicast/carrier"
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

// Carrier is the way to have the image by HTTP, nil if the server told none.
func (a *Answer) Carrier(q Query) *carrier.Fetcher {
	if a.HTTPPort == 0 {
		return nil
	}
	c := carrier.Config{
		Server: netip.AddrPortFrom(q.Server.Addr(), a.HTTPPort), From: q.From, ImageID: q.Request.ImageID, FileBytes: int64(a.FileBytes),
	}
	if mtime, ok := a.Signature.MTime(); ok {
		c.MTime = time.Unix(int64(mtime), 0)
	}
	return carrier.New(c)
}

// Get asks a master server. The error wraps the wire.MasterError of a refusal;
// the answer is valid then too (MasterTryAgain may have a signature and size).
func Get(ctx context.Context, q Query) (Answer, error) {
	msg, err := q.Request.Append(nil)
	if err != nil {
		return Answer{}, err
	}
	var a Answer
	raw, local, err := exchange(ctx, q.Server, q.From, msg)
	if err == nil {
		a.GetReply, err = wire.ParseGetReply(raw)
		a.Local = local
	}
	if err == nil && a.Error != wire.MasterOK {
		err = a.Error
	}
	if err != nil {
		return a, fmt.Errorf("asking %v for image %s: %w", q.Server, q.Request.ImageID, err)
	}
	return a, nil
}

// PutQuery asks a master server to take an image.
type PutQuery struct {
	Server  netip.AddrPort
	From    netip.Addr // as in Query
	Request wire.PutRequest
}

// errNoPort is what C servers that take no images answer (spec frisbee B).
var errNoPort = errors.New("the server names no port: it takes no images, or could not start to")

// Put asks a master server. The error wraps the wire.MasterError of a refusal;
// the reply is valid then too (MasterTooBig has a size).
func Put(ctx context.Context, q PutQuery) (wire.PutReply, error) {
	msg, err := q.Request.Append(nil)
	if err != nil {
		return wire.PutReply{}, err
	}
	var r wire.PutReply
	raw, _, err := exchange(ctx, q.Server, q.From, msg)
	if err == nil {
		r, err = wire.ParsePutReply(raw)
	}
	switch {
	case err != nil:
	case r.Error != wire.MasterOK:
		err = r.Error
	case q.Request.Status == 0 && r.Port == 0:
		err = errNoPort
	}
	if err != nil {
		return r, fmt.Errorf("asking %v to take image %s: %w", q.Server, q.Request.ImageID, err)
	}
	return r, nil
}

// exchange sends one message and returns the reply, and the address that it
// came to.
func exchange(ctx context.Context, server netip.AddrPort, from netip.Addr, msg []byte) ([]byte, netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var d net.Dialer
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := d.DialContext(ctx, "tcp4", server.String())
	if err != nil {
		return nil, netip.Addr{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// In one write: C servers read only once.
	if _, err := c.Write(msg); err != nil {
		return nil, netip.Addr{}, err
	}
	raw, err := readMessage(c)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, netip.Addr{}, fmt.Errorf("reading the reply: %w", err)
	}
	return raw, addrOf(c.LocalAddr()), nil
}
