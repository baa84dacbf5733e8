package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/multicast/internal/sock"
	"hyzer/multicast/wire"
)

// Limits of the shell.
const (
	// leaveCopies is how often the LEAVE2 is sent: it is not acknowledged, and
	// servers ignore one from a client they do not know any more.
	leaveCopies          = 3
	leavePause           = 2 * time.Millisecond
	progressEveryDefault = time.Second
	sendErrorsMax        = 1000 // in a row
	// spillFill is how full of waiting chunks the buffers are before more are
	// put aside.
	spillFill = 0.5
)

// Config is what Run needs.
type Config struct {
	// Address is the session: group, broadcast address or, for unicast, the
	// server; and the port, which may not be 0.
	Address netip.AddrPort
	// Server is the only one listened to; not valid: whoever answers first.
	Server netip.Addr
	// Iface is the address of the interface; not valid: by the routes.
	Iface     netip.Addr
	Broadcast bool
	// ShareHost lets the server run on the same machine, see package sock.
	ShareHost         bool
	SocketBufferBytes int

	// Sink gets the chunks.
	Sink Sink
	// SinkWorkers is how many calls of Sink run at once; 0: one.
	SinkWorkers int
	// SpillDir is where chunks that wait for a slow sink may lie in a file of up
	// to SpillBytesMax, as they came; "": only in the Buffers.
	SpillDir      string
	SpillBytesMax int64

	Raw         bool // as in ReceptionConfig, like the following
	Buffers     int
	Window      int
	InOrder     bool
	JoinTimeout time.Duration
	IdleTimeout time.Duration
	Heartbeat   bool
	ReportFor   netip.Addr
	// Mode2 offers to be served by parity blocks; a server that does not know
	// of that serves as ever.
	Mode2 bool
	// Key makes the load one of mode 2 that counts only what the server with
	// the same key says; nil: no key.
	Key *wire.Key
	// Integrity is what chunks are checked by.
	Integrity Integrity
	// QuietAbort sends no LEAVE2 when the load is cancelled: a machine that
	// loses its power says nothing.
	QuietAbort bool
	// Keepalive joins the group again after so long without a datagram, for
	// switches that forget; 0: never.
	Keepalive time.Duration

	// Fetcher gets chunks another way while the session brings next to nothing
	// for FetchAfter (0: FetchAfterDefault); nil: there is none.
	Fetcher    Fetcher
	FetchAfter time.Duration

	// OnJoined is told once, with the client's id, how large the file is; nil: nobody.
	OnJoined func(id uint32, file wire.Geometry)
	// OnProgress is told how far the load is, every ProgressEvery (0: one
	// second) and at the end; nil: nobody.
	OnProgress    func(Progress)
	ProgressEvery time.Duration
	Log           *slog.Logger // nil: slog.Default()

	// Conn takes the place of the sockets in tests, and OpenParity opens those
	// of mode 2.
	Conn       sock.Conn
	OpenParity func(netip.AddrPort) (sock.Conn, error)
	// Rand makes tests repeatable; nil: random.
	Rand *rand.Rand
}

// Progress is how far a load is.
type Progress struct {
	ChunksReceived, ChunksWritten, Chunks int
	BytesReceived, FileBytes              int64
	Elapsed                               time.Duration
	BytesPerSec                           float64 // received, since the last Progress
}

// Result is how a load went.
type Result struct {
	ID        uint32 // of the client in this session
	Server    netip.Addr
	FileBytes int64
	Elapsed   time.Duration
	Stats     wire.Stats
	Checked   bool // each chunk agreed with a manifest
	// SocketDrops are datagrams that were not lost on the way, but found no
	// room in our socket.
	SocketDrops uint32
	Spills      int // chunks that waited in a file
	Fetched     int // chunks that came from Config.Fetcher, not from the session
}

// shell is one Run.
type shell struct {
	cfg      Config
	conn     sock.Conn
	address  netip.AddrPort
	log      *slog.Logger
	r        *Reception
	pool     *pool
	meter    meter
	fetching *fetching // nil: there is no other way
	failing  int       // sends in a row
	// unannounced: the last try to announce the group membership failed
	unannounced bool
	taken       int // datagrams since the machine was told
	spills      int
	parity      *parityPort
	tried       netip.AddrPort // parity address that was opened, or could not be
	inspector
}

// Run joins the session and returns when every chunk has been written, or with
// an error that says why not: ctx's, the sink's, or one that wraps ErrNoServer,
// ErrServerSilent, ErrImageChanged, ErrWrongPeer or ErrNoManifest.
func Run(ctx context.Context, cfg Config) (Result, error) {
	s := &shell{cfg: cfg, conn: cfg.Conn, address: cfg.Address, log: cfg.Log, inspector: inspector{Integrity: cfg.Integrity}}
	if s.log == nil {
		s.log = slog.Default()
	}
	if err := s.open(); err != nil {
		return Result{}, err
	}
	defer s.conn.Close()
	stopWaking := context.AfterFunc(ctx, s.conn.Wake)
	defer stopWaking()

	start := time.Now()
	s.meter = meter{start: start, last: start, every: cfg.ProgressEvery, tell: cfg.OnProgress}
	s.r = NewReception(s.receptionConfig(), start)
	sp, err := newSpill(cfg.SpillDir, cfg.SpillBytesMax, s.r.cfg.Buffers)
	if err != nil {
		return Result{}, err
	}
	s.pool = newPool(ctx, cfg.Sink, cfg.SinkWorkers, max(s.r.cfg.Buffers, 1), sp, s.conn.Wake)
	s.fetching = newFetching(ctx, cfg.Fetcher, cfg.FetchAfter)
	err = s.loop(ctx)
	s.fetching.close()
	s.pool.close()
	s.closeParity()
	if ctx.Err() == nil || !cfg.QuietAbort {
		s.leave()
	}
	geo, _ := s.r.Joined()
	now := time.Now()
	s.meter.report(s.r, now)
	return Result{s.r.cfg.ID, s.r.Server(), geo.FileBytes(), now.Sub(start), s.r.Stats(now), s.inspector.manifest != nil, s.r.intake.dropped, s.spills, s.fetching.count()}, err
}

func (s *shell) open() error {
	if s.cfg.Address.Port() == 0 || !s.cfg.Address.IsValid() {
		return fmt.Errorf("session address %v: want an address and a port", s.cfg.Address)
	}
	if s.conn != nil {
		return nil
	}
	var err error
	s.conn, s.address, err = sock.Open(sock.Config{
		Session: s.cfg.Address, Iface: s.cfg.Iface, Peer: s.cfg.Server, Broadcast: s.cfg.Broadcast, Client: true,
		ShareHost: s.cfg.ShareHost, BufferBytes: s.cfg.SocketBufferBytes,
	})
	return err
}

func (s *shell) receptionConfig() ReceptionConfig {
	c := s.cfg
	rng := c.Rand
	if rng == nil {
		rng = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	server := c.Server
	if !server.IsValid() && !c.Address.Addr().IsMulticast() && !c.Broadcast {
		server = c.Address.Addr() // unicast: the peer
	}
	return ReceptionConfig{
		Self: s.conn.Local().Addr(), Address: s.address, Server: server, ID: rng.Uint32() >> 1,
		Raw: c.Raw, Buffers: c.Buffers, Window: c.Window, InOrder: c.InOrder, JoinTimeout: c.JoinTimeout,
		IdleTimeout: c.IdleTimeout, Heartbeat: c.Heartbeat, ReportFor: c.ReportFor, Mode2: c.Mode2, Rand: rng,
		Key: c.Key, Manifest: !c.Integrity.Off && c.Integrity.Manifest == nil,
	}
}

// loop runs the machine until all is written.
func (s *shell) loop(ctx context.Context) error {
	batch := sock.NewBatch(true)
	keepaliveAt := time.Now()
	for {
		now := time.Now()
		s.followParity()
		s.feedParity(now)
		s.r.Intake(now, s.taken, s.conn.Backlog())
		s.taken = 0
		s.holdAsks(now)
		s.r.Tick(now)
		if err := s.fetch(now); err != nil {
			return err
		}
		if err := s.flush(ctx, now); err != nil {
			return err
		}
		if s.r.Finished() {
			return nil
		}
		err := s.conn.ReadBatch(batch, s.r.Due(now))
		now = time.Now()
		switch {
		case err == nil:
			keepaliveAt = now
			s.taken += len(batch.Datagrams())
			s.feed(now, batch.Datagrams())
		case errors.Is(err, sock.ErrWoken):
		case errors.Is(err, os.ErrDeadlineExceeded):
			s.readOwn(now, batch)
			keepaliveAt = s.keepalive(now, keepaliveAt)
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			return fmt.Errorf("receiving on %v: %w", s.address, err)
		}
	}
}

func (s *shell) feed(now time.Time, batch []sock.Datagram) {
	for _, d := range batch {
		s.r.Receive(now, d.From, d.Data)
	}
}

// readOwn hears old servers, which answer a JOIN to the client's own address.
func (s *shell) readOwn(now time.Time, batch *sock.Batch) {
	if _, joined := s.r.Joined(); joined {
		return
	}
	if err := s.conn.ReadOwn(batch); err == nil {
		s.feed(now, batch.Datagrams())
	}
}

func (s *shell) keepalive(now, last time.Time) time.Time {
	if s.cfg.Keepalive <= 0 || now.Sub(last) < s.cfg.Keepalive {
		return last
	}
	err := s.conn.Rejoin()
	if err != nil && !s.unannounced {
		s.log.Warn("group membership could not be announced", "service", "frisbee", "err", err)
	}
	s.unannounced = err != nil // the interface may come back
	return now
}

// flush carries out what the machine wants and takes back what the sink is
// done with.
func (s *shell) flush(ctx context.Context, now time.Time) error {
	s.keep()
	if err := s.takeWritten(now); err != nil {
		return err
	}
	s.inspector.held = append(s.inspector.held, s.r.TakeReady()...)
	if err := s.settle(now); err != nil {
		return err
	}
	if s.inspector.settled {
		for _, c := range s.inspector.held {
			s.hand(work{c, s.inspector.manifest})
		}
		s.inspector.held = s.inspector.held[:0]
	}
	for _, o := range s.r.TakeSends() {
		if err := s.write(o); err != nil {
			return err
		}
	}
	s.tellJoined()
	s.meter.tick(s.r, now)
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.r.Err()
}

func (s *shell) tellJoined() {
	if geo, joined := s.r.Joined(); joined && s.cfg.OnJoined != nil {
		s.cfg.OnJoined(s.r.cfg.ID, geo)
		s.cfg.OnJoined = nil
	}
}

// hand gives a chunk to the sink, or puts it aside when too many wait there.
func (s *shell) hand(w work) {
	if s.r.waiting() > spillFill && s.pool.spill.take(w) {
		return
	}
	s.pool.work <- w // has room for all buffers
}

// takeWritten gives buffers back to the machine.
func (s *shell) takeWritten(now time.Time) error {
	for {
		select {
		case w := <-s.pool.done:
			if err := s.written(now, w); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (s *shell) written(now time.Time, w written) error {
	bytes := int64(len(w.chunk.Data))
	if w.slot >= 0 {
		s.pool.spill.free = append(s.pool.spill.free, w.slot)
		w.chunk.Data = nil // was the worker's
	}
	switch {
	case w.err == nil:
		s.meter.written += bytes
		s.r.SetWritten(uint64(s.meter.written), uint64(s.meter.written))
		s.r.Release(now, w.chunk)
		return nil
	case errors.Is(w.err, ErrBadChunk) && s.again(w.chunk.Index):
		s.log.Warn("chunk is damaged, asking for it again", "service", "frisbee", "chunk", w.chunk.Index, "err", w.err)
		s.r.Reject(now, w.chunk)
		return nil
	}
	return fmt.Errorf("chunk %d: %w", w.chunk.Index, w.err)
}

// write sends a datagram. A send that fails is like a loss, unless all do, or
// it never can: EACCES is a broadcast address that was not said to be one.
func (s *shell) write(o Outgoing) error {
	to := s.address
	if o.ToServer {
		to = netip.AddrPortFrom(s.r.Server(), s.address.Port())
	}
	conn := s.conn
	if o.ToParity {
		if s.parity == nil {
			return nil
		}
		conn, to = s.parity.conn, s.tried
	}
	err := conn.Write(o.Datagram, to)
	if err == nil {
		s.failing = 0
		return nil
	}
	if s.failing++; s.failing > sendErrorsMax || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("sending to %v, check interface %v: %w", to, s.conn.Local().Addr(), err)
	}
	return nil
}

// leave tells the server, which keeps count. It is of no importance to the
// load, so errors are not reported.
func (s *shell) leave() {
	if _, joined := s.r.Joined(); !joined {
		return
	}
	for i := range leaveCopies {
		if i > 0 {
			time.Sleep(leavePause)
		}
		if s.conn.Write(s.r.Leave(time.Now()), s.address) != nil {
			return
		}
	}
}
