package tftp

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"hyzer/netsvc/bootfiles"
)

// Server is the TFTP service. Make it with New, run it once with Run.
type Server struct {
	cfg   Config
	log   *slog.Logger
	now   func() time.Time
	ready chan struct{}
	addr  netip.AddrPort // valid once ready

	seed     maphash.Seed
	shards   []*shard
	mtu      mtuTable
	rates    *rateLimiter // this and dropLog: of the goroutine that reads requests
	dropLog  bucket
	opening  chan struct{} // a place for each Files.Open under way
	counters counters

	slotsMu sync.Mutex
	slots   *slots
}

// New prepares a server; it opens nothing yet.
func New(cfg Config) *Server {
	setDefault(&cfg.TransfersMax, transfersMaxDefault)
	setDefault(&cfg.TransfersPerClientMax, transfersPerClientMaxDefault)
	setDefault(&cfg.RequestsPerSecond, requestsPerSecondDefault)
	setDefault(&cfg.RequestsPerClient, requestsPerClientDefault)
	setDefault(&cfg.WindowMax, windowMaxDefault)
	setDefault(&cfg.BlockBytesMax, blockBytesMax)
	cfg.WindowMax = min(cfg.WindowMax, windowMaxLimit)
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Server{
		cfg: cfg, log: cfg.Log.With("service", "tftp"), now: time.Now,
		ready: make(chan struct{}), seed: maphash.MakeSeed(), mtu: mtuTable{},
		rates:   newRateLimiter(cfg.RequestsPerSecond, cfg.RequestsPerClient, time.Now()),
		opening: make(chan struct{}, openingMax),
		slots:   newSlots(cfg.TransfersMax, cfg.TransfersPerClientMax),
	}
}

func setDefault[T int | float64](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// Ready is closed once requests are answered.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Addr is the address of the request socket, valid once Ready.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Run serves until ctx ends, then ends every transfer with an ERROR, closes
// the sockets, waits for its goroutines and returns nil. It returns an error if
// it cannot start or a socket fails.
func (s *Server) Run(ctx context.Context) error {
	main, err := s.listen()
	if err != nil {
		return err
	}
	defer main.Close()
	if err := s.openShards(main); err != nil {
		return err
	}
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for _, h := range s.shards {
		wg.Go(func() {
			if err := h.run(); err != nil {
				stop(err)
			}
		})
	}
	wg.Go(func() {
		if err := s.receive(running, main, &wg); err != nil {
			stop(err)
		}
	})
	s.addr = unmap(localAddr(main))
	close(s.ready)
	<-running.Done()
	main.Close()
	for _, h := range s.shards {
		h.shutdown()
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running)
}

func (s *Server) listen() (udpSocket, error) {
	conn := s.cfg.Conn
	if conn == nil {
		var err error
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(s.cfg.Addr))
		if err != nil {
			return udpSocket{}, fmt.Errorf("tftp: request socket: %w (is another TFTP server running?)", err)
		}
	}
	main, err := newSocket(conn)
	if err == nil {
		_ = conn.SetReadBuffer(receiveBytesWish) // best effort: a whole site may power on
		err = main.askArrival()
	}
	if err != nil {
		conn.Close()
	}
	return main, err
}

func (s *Server) openShards(main udpSocket) error {
	for range min(runtime.GOMAXPROCS(0), shardsMax) {
		h, err := s.openShard(main)
		if err != nil {
			for _, h := range s.shards {
				h.socket.Close()
			}
			return err
		}
		s.shards = append(s.shards, h)
	}
	return nil
}

func (s *Server) openShard(main udpSocket) (*shard, error) {
	socket, err := main.sibling()
	if err != nil {
		return nil, err
	}
	h, err := newShard(s, socket)
	if err != nil {
		socket.Close()
	}
	return h, err
}

// receive reads requests until the socket is closed. Opening a file may wait
// for a disk: each admitted request gets a goroutine for that, bounded by the
// number of transfers.
func (s *Server) receive(ctx context.Context, main udpSocket, wg *sync.WaitGroup) error {
	buf := make([]byte, requestBytesMax+1)
	oob := make([]byte, controlBytesMax)
	for {
		n, oobn, _, from, err := main.ReadMsgUDPAddrPort(buf, oob)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("tftp: reading requests: %w", err)
		}
		h, session := s.request(unmap(from), buf[:n], parseArrival(oob[:oobn]))
		if session != nil {
			wg.Go(func() { s.open(ctx, h, session) })
		}
	}
}

// request screens one packet to the well-known port. It returns the session to
// open a file for, or nil.
func (s *Server) request(client netip.AddrPort, b []byte, a arrival) (*shard, *session) {
	p, parseErr := Parse(b)
	if (p.Op != OpRRQ && p.Op != OpWRQ) || a.toMany || client.Port() == 0 {
		s.counters.ignored.Add(1)
		return nil, nil
	}
	now := s.now()
	if !s.rates.allow(now, client.Addr()) {
		s.drop(client, now, "too many requests a second")
		return nil, nil
	}
	h := s.shards[maphash.Comparable(s.seed, client)%uint64(len(s.shards))]
	session := &session{
		client: client, to: h.socket.name(client, a.ifindex), request: string(b), name: p.Name,
		source: h.socket.sourceControl(a), began: now, index: -1,
		offer: offer{blockBytesMax: s.blockBytesMax(a), windowMax: s.cfg.WindowMax},
	}
	if r, refused := screen(p, parseErr); refused {
		s.refuse(h, session, r)
		return nil, nil
	}
	switch h.admit(session) {
	case isRepeat:
		s.counters.repeated.Add(1)
		return nil, nil
	case overLimit:
		s.drop(client, now, "too many transfers at one time")
		return nil, nil
	}
	return h, session
}

// drop leaves a request unanswered: the client asks again by itself, and by
// then there may be a place.
func (s *Server) drop(client netip.AddrPort, now time.Time, why string) {
	s.counters.dropped.Add(1)
	if s.dropLog.take(now, dropLinesPerSecond) {
		s.log.Warn("request dropped; raise the limits in the configuration if this is the site's own load",
			"client", client, "err", why, "dropped", s.counters.dropped.Load())
	}
}

func (s *Server) blockBytesMax(a arrival) int {
	limit := s.cfg.BlockBytesMax
	if a.knowsAddr {
		limit = min(limit, s.mtu.blockBytesMax(a))
	}
	return limit
}

// refuse answers a request that never became a transfer.
func (s *Server) refuse(h *shard, session *session, r refusal) {
	s.counters.refused.Add(1)
	s.log.Warn("request refused", "client", session.client, "name", bootfiles.LogName(session.name), "err", r.text)
	h.locked(func(time.Time) { h.out.packet(&session.to, session.source, r.packet()) })
}

// open finds the file and starts the transfer.
func (s *Server) open(ctx context.Context, h *shard, session *session) {
	s.opening <- struct{}{}
	defer func() { <-s.opening }()
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	p, _ := Parse([]byte(session.request)) // screened
	f, err := s.cfg.Files.Open(ctx, session.client.Addr(), p.Name)
	if err == nil && isNetascii(p.Mode) {
		f, err = netascii(f)
	}
	if err != nil {
		h.refuse(session, refuseOpen(err), err)
		return
	}
	h.start(session, f, negotiate(p.Options, f.Size(), session.offer))
}

func (s *Server) takeSlot(client netip.Addr) bool {
	s.slotsMu.Lock()
	defer s.slotsMu.Unlock()
	return s.slots.take(client)
}

func (s *Server) releaseSlot(client netip.Addr) {
	s.slotsMu.Lock()
	defer s.slotsMu.Unlock()
	s.slots.release(client)
}

// unmap gives the form in which clients are compared: no IPv4 mapping, no zone.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
