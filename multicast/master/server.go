package master

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"hyzer/multicast/wire"
)

// Limits of the TCP side.
const (
	requestTimeout      = 10 * time.Second // for all of one connection
	connectionsMax      = 512
	connectionsPerIPMax = 32
	acceptPause         = 50 * time.Millisecond
	settleTimeout       = 2 * time.Second
	settleBytesMax      = 64 << 10
)

// ServerConfig is what a Server needs.
type ServerConfig struct {
	Catalog  Catalog
	Sessions *Sessions
	// Methods are the ways in which this server sends; 0: unicast and
	// multicast, as the C server's default.
	Methods wire.Methods
	Uploads UploadConfig
	// HTTPPort is where clients that ask may have the image by HTTP, at this
	// server's address; 0: nowhere.
	HTTPPort uint16
	Log      *slog.Logger // nil: slog.Default()
}

// Server answers the master protocol.
type Server struct {
	cfg     ServerConfig
	log     *slog.Logger
	uploads *uploads // nil: refused

	lock sync.Mutex
	open map[netip.Addr]int // connections by caller
	all  int
}

// NewServer returns a server; Serve runs it.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Methods == 0 {
		cfg.Methods = wire.Unicast | wire.Multicast
	}
	s := &Server{cfg: cfg, log: cfg.Log, open: make(map[netip.Addr]int)}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.log = s.log.With("service", "frisbee-master")
	s.uploads = newUploads(cfg.Uploads, s.log)
	return s
}

// Serve answers connections to l until ctx is done, then closes l and waits
// for those that are open, and breaks off uploads. It is called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer s.uploads.close()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	for {
		c, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				c.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("frisbee master on %v: %w", l.Addr(), err)
		case err != nil: // out of descriptors, or the caller gave up: it passes
			s.log.Warn("cannot accept a connection", "err", err)
			time.Sleep(acceptPause)
			continue
		}
		caller := addrOf(c.RemoteAddr())
		if !s.admit(caller) {
			c.Close()
			continue
		}
		conns.Go(func() {
			defer s.dismiss(caller)
			s.handle(ctx, c, caller)
		})
	}
}

func addrOf(a net.Addr) netip.Addr {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func (s *Server) admit(caller netip.Addr) bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.all >= connectionsMax || s.open[caller] >= connectionsPerIPMax {
		return false
	}
	s.all++
	s.open[caller]++
	return true
}

func (s *Server) dismiss(caller netip.Addr) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.all--
	if s.open[caller]--; s.open[caller] == 0 {
		delete(s.open, caller)
	}
}

// handle reads one request, answers it and closes. What is no request is not
// answered.
func (s *Server) handle(ctx context.Context, c net.Conn, caller netip.Addr) {
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	request, err := readMessage(c)
	if err != nil {
		s.log.Debug("no request", "node", caller.String(), "err", err)
		return
	}
	reply, err := s.answer(ctx, caller, addrOf(c.LocalAddr()), request)
	if err != nil {
		s.log.Warn("bad request", "node", caller.String(), "err", err)
		return
	}
	if _, err := c.Write(reply); err != nil {
		s.log.Warn("reply not sent", "node", caller.String(), "err", err)
		return
	}
	settle(c)
}

// settle takes what the caller sent beyond its request: to close a connection
// with unread bytes would break it off, and the reply with it.
func settle(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok || t.CloseWrite() != nil {
		return
	}
	// Only for as long and as much as an honest caller takes.
	if t.SetReadDeadline(time.Now().Add(settleTimeout)) == nil {
		_, _ = io.CopyN(io.Discard, t, settleBytesMax)
	}
}

// readMessage reads one message in however many pieces it comes.
func readMessage(r io.Reader) ([]byte, error) {
	buf := make([]byte, wire.MasterMessageBytesMax)
	if _, err := io.ReadFull(r, buf[:wire.MasterHeaderBytes]); err != nil {
		return nil, err
	}
	t, err := wire.ParseMasterHeader(buf)
	if err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r, buf[wire.MasterHeaderBytes:t.Bytes()]); err != nil {
		return nil, err
	}
	return buf[:t.Bytes()], nil
}

// answer returns the reply to a request that came to the address here.
func (s *Server) answer(ctx context.Context, caller, here netip.Addr, request []byte) ([]byte, error) {
	t, err := wire.ParseMasterHeader(request)
	if err != nil {
		return nil, err
	}
	switch t {
	case wire.MasterGetRequest:
		req, err := wire.ParseGetRequest(request)
		if err != nil {
			return nil, err
		}
		reply := s.get(ctx, caller, req)
		return reply.Append(nil), nil
	case wire.MasterPutRequest:
		req, err := wire.ParsePutRequest(request)
		if err != nil {
			return nil, err
		}
		reply := s.put(ctx, caller, here, req)
		return reply.Append(nil), nil
	}
	return nil, wire.ErrMasterType
}
