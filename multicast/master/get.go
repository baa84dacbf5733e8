package master

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// get answers a GETREQUEST (spec frisbee B1).
func (s *Server) get(ctx context.Context, caller netip.Addr, req wire.GetRequest) wire.GetReply {
	reply, err := s.tryGet(ctx, caller, req)
	if err != nil {
		code := masterError(err)
		s.log.Warn("image refused", "node", caller.String(), "for", req.Host.String(), "image", req.ImageID, "status", req.Status,
			"reply", code.Error(), "err", err)
		reply = wire.GetReply{Error: code, Server: netip.IPv4Unspecified(), Addr: netip.IPv4Unspecified()}
		if busy := (*Busy)(nil); errors.As(err, &busy) {
			reply.Signature, reply.FileBytes = busy.Signature, busy.FileBytes
		}
	}
	return reply
}

func (s *Server) tryGet(ctx context.Context, caller netip.Addr, req wire.GetRequest) (wire.GetReply, error) {
	methods := req.Methods & s.cfg.Methods
	if methods == 0 {
		return wire.GetReply{}, wire.MasterNoMethod
	}
	client, err := s.client(ctx, caller, req.Host)
	if err != nil {
		return wire.GetReply{}, err
	}
	img, err := s.cfg.Catalog.Lookup(ctx, client, req.ImageID)
	if err != nil {
		return wire.GetReply{}, err
	}
	if img.Methods != 0 {
		methods &= img.Methods
	}
	if methods == 0 {
		return wire.GetReply{}, wire.MasterNoMethod
	}
	file, err := openImage(img.Path)
	if err == nil && file.Size() == 0 {
		err = errors.Join(fmt.Errorf("%w: %s is empty", wire.MasterInvalid, img.Path), file.Close())
	}
	if err != nil {
		return wire.GetReply{}, err
	}
	reply := wire.GetReply{
		Server: netip.IPv4Unspecified(), Addr: netip.IPv4Unspecified(), Method: methods,
		FileBytes: uint64(file.Size()), Signature: wire.MTimeSignature(uint32(file.MTime().Unix())),
	}
	if req.HTTP {
		reply.HTTPPort = s.cfg.HTTPPort
	}
	if req.Status {
		defer file.Close()
		s.fillStatus(&reply, img, file, client)
		return reply, nil
	}
	session, err := s.cfg.Sessions.Join(img, file, preferred(methods), client)
	if err != nil {
		return wire.GetReply{}, err
	}
	s.log.Info("image granted", "node", client.String(), "image", img.ID, "address", session.Address.String())
	fillSession(&reply, session)
	return reply, nil
}

// client settles whom the request is for.
func (s *Server) client(ctx context.Context, caller, host netip.Addr) (netip.Addr, error) {
	if !host.IsValid() || host.IsUnspecified() || host == caller {
		return caller, nil
	}
	p, ok := s.cfg.Catalog.(Proxies)
	if !ok {
		return netip.Addr{}, wire.MasterFailed
	}
	return host, p.MayProxy(ctx, caller, host)
}

func openImage(path string) (*server.File, error) {
	file, err := server.OpenFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %w", wire.MasterNoImage, err)
	case errors.Is(err, server.ErrNotRegular):
		return nil, fmt.Errorf("%w: %w", wire.MasterInvalid, err)
	}
	return file, err
}

// preferred is the method to start: what serves most clients at once.
func preferred(m wire.Methods) wire.Methods {
	for _, one := range []wire.Methods{wire.Multicast, wire.Unicast, wire.Broadcast} {
		if m&one != 0 {
			return one
		}
	}
	return 0
}

// fillStatus tells of a session that runs, by whichever of the methods.
func (s *Server) fillStatus(reply *wire.GetReply, img Image, file *server.File, client netip.Addr) {
	for _, one := range []wire.Methods{wire.Multicast, wire.Unicast, wire.Broadcast} {
		if reply.Method&one == 0 {
			continue
		}
		if session, ok := s.cfg.Sessions.Find(img, file, one, client); ok {
			fillSession(reply, session)
			return
		}
	}
}

// fillSession: a unicast client is told the server's address, which it sends
// to.
func fillSession(reply *wire.GetReply, session Session) {
	reply.Method, reply.Running = session.Method, true
	reply.Server, reply.Addr, reply.Port = session.Server, session.Address.Addr(), session.Address.Port()
	if session.Method == wire.Unicast {
		reply.Addr = session.Server
	}
}
