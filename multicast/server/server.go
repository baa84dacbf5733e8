package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"hyzer/multicast/internal/sock"
	"hyzer/multicast/wire"
)

// Config is what a Server needs.
type Config struct {
	// Image is what to send. The server closes it, unless Open fails.
	Image Image
	// Address is the group, broadcast address or unicast peer, and the port;
	// port 0: any free one.
	Address netip.AddrPort
	// Iface is the address of the interface; not valid: by the routes.
	Iface     netip.Addr
	Broadcast bool
	// ShareHost lets clients run on the same machine, see package sock.
	ShareHost bool
	// SocketBufferBytes is asked for in each direction; 0: 1 MiB.
	SocketBufferBytes int

	Pace             Pace
	Linger           time.Duration // as in SessionConfig
	HeartbeatSeconds uint32
	RepairHold       time.Duration
	// Gather as in SessionConfig, but 0: GatherDefault, < 0: not.
	Gather time.Duration
	// Keepalive joins the group again after so long without a datagram, for
	// switches that forget; 0: never.
	Keepalive time.Duration

	// OnEvent is told what clients said, one call at a time; nil: nobody.
	OnEvent func(Event)
	// Trace is told of each packet that comes and of what is sent, from more than
	// one goroutine; nil: nobody.
	Trace func(TraceEntry)
	// Log gets start, joins, leaves and the end; nil: slog.Default().
	Log *slog.Logger

	// Mode2 lets clients that offer it be served by parity blocks, beside those
	// that do not. It takes a second port: a free one from FirstParityPort to
	// LastParityPort, or of the kernel's choice if those are 0.
	Mode2                           bool
	FirstParityPort, LastParityPort uint16
	// Key lets clients that have it tell our blocks from those of strangers, and
	// us their requests; nil: nobody can. Those without the key are served as
	// without mode 2.
	Key *wire.Key
	// Manifest is what clients of mode 2 check chunks by (imaging/manifest),
	// empty: there is none.
	Manifest []byte
	// ImageID names the version of the image in mode 2; 0: by its Identity, or
	// none that a later server could have.
	ImageID uint64

	// ReadBlocks is how many blocks are read from the image at once; 0: as many
	// as are wanted.
	ReadBlocks int
	// Reads bounds what all sessions that share it hold of their images; nil: this
	// one is bounded by itself.
	Reads *ReadPool

	// Conn takes the place of the sockets in tests, and ParityConn of those of
	// mode 2.
	Conn, ParityConn sock.Conn
}

// ErrIPv6 is wrapped for a session that old clients could not join.
var ErrIPv6 = errors.New("in IPv6 there is mode 2 only, turn it on")

// Server is a session with its sockets and its file.
type Server struct {
	cfg     Config
	conn    sock.Conn
	address netip.AddrPort
	log     *slog.Logger

	lock    sync.Mutex // guards session and over
	session *Session
	over    bool
	wake    chan struct{} // there may be something to send

	frames *framer
	writes timing         // to the sockets
	parity sock.Conn      // of mode 2; nil: off
	said   said           // of the goroutine that receives
	all    sync.WaitGroup // the goroutines of Run
}

// Open binds the sockets, so that Address is known and no packet is lost from
// here on. The error of a port in use wraps syscall.EADDRINUSE.
func Open(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, conn: cfg.Conn, address: cfg.Address, log: cfg.Log, wake: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.Default()
	}
	if len(cfg.Manifest) > wire.ManifestBytesMax {
		return nil, fmt.Errorf("manifest of %s: %d bytes, at most %d", cfg.Image.Name(), len(cfg.Manifest), wire.ManifestBytesMax)
	}
	if s.conn == nil {
		var err error
		s.conn, s.address, err = sock.Open(sock.Config{
			Session: cfg.Address, Iface: cfg.Iface, Broadcast: cfg.Broadcast,
			ShareHost: cfg.ShareHost, BufferBytes: cfg.SocketBufferBytes,
		})
		if err != nil {
			return nil, err
		}
	}
	self := s.conn.Local().Addr()
	if self.Is6() && !cfg.Mode2 {
		s.conn.Close()
		return nil, fmt.Errorf("session %v: %w", cfg.Address, ErrIPv6)
	}
	mode2, err := s.openParity()
	if err != nil {
		s.conn.Close()
		return nil, err
	}
	session, err := NewSession(SessionConfig{
		Self: self, Address: s.address, FileBytes: cfg.Image.Size(), Pace: cfg.Pace, Linger: cfg.Linger,
		HeartbeatSeconds: cfg.HeartbeatSeconds, RepairHold: cfg.RepairHold, Gather: cfg.gather(), Mode2: mode2,
	}, time.Now())
	if err != nil {
		s.closeConns()
		return nil, fmt.Errorf("%s: %w", cfg.Image.Name(), err)
	}
	s.session = session
	s.frames = newFramer(cfg.Image, session.Geometry(), wire.SourceOf(self))
	if cfg.ReadBlocks > 0 {
		s.frames.piece = cfg.ReadBlocks * wire.BlockBytes
	}
	if mode2 != nil {
		s.frames.key, s.frames.manifest = cfg.Key.Blocks(s.address.Port(), mode2.ImageID), cfg.Manifest
	}
	s.log = s.log.With("service", "frisbee", "image", cfg.Image.Name(), "address", s.address.String())
	return s, nil
}

func (c *Config) gather() time.Duration {
	if c.Gather == 0 {
		return GatherDefault
	}
	return max(c.Gather, 0)
}

// Address returns the session's address with the port that was bound.
func (s *Server) Address() netip.AddrPort { return s.address }

// Self returns the address that packets leave from.
func (s *Server) Self() netip.Addr { return s.conn.Local().Addr() }

// Stats returns the counts so far. It may be called at any time.
func (s *Server) Stats() Stats {
	s.lock.Lock()
	defer s.lock.Unlock()
	st := s.session.Stats(time.Now())
	st.Reads, st.Writes = s.frames.reads.sum(), s.writes.sum()
	return st
}

// Touch puts off the end of the session, for somebody has just been told of it
// and will join. It returns false if the session is over already.
func (s *Server) Touch() bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	if !s.over {
		s.session.Touch(time.Now())
	}
	return !s.over
}

// Close gives up a server that Run was not called on.
func (s *Server) Close() error { return errors.Join(s.closeConns(), s.cfg.Image.Close()) }

// Run serves until the session is over by its Linger rule, which is no error,
// or ctx is cancelled, or the image changes or cannot be read. It closes the
// sockets and the image. A new Server with the same address and image may take
// over at any time; clients notice a pause.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer s.Close()
	stopWaking := context.AfterFunc(ctx, s.wakeConns)
	defer stopWaking()
	s.log.Info("session started", "bytes", s.cfg.Image.Size(), "self", s.Self().String())
	s.all.Go(func() {
		if err := s.receive(ctx); err != nil {
			cancel(err)
		}
	})
	if s.parity != nil {
		s.all.Go(func() { s.receiveParity(ctx) })
	}
	reason, err := s.send(ctx)
	s.end()
	cancel(nil)
	s.all.Wait()
	if s.frames.ahead != nil {
		s.frames.ahead.release()
	}
	s.log.Info("session ended", "reason", reason.String(), "err", err, "stats", s.Stats())
	return err
}

// end makes Touch say that the session is over.
func (s *Server) end() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.over = true
}

// signal wakes the sender.
func (s *Server) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// receive feeds the session until ctx is done.
func (s *Server) receive(ctx context.Context) error {
	batch := sock.NewBatch(false)
	var events []Event
	k := keepalive{every: s.cfg.Keepalive}
	for ctx.Err() == nil {
		err := s.conn.ReadBatch(batch, k.deadline(time.Now()))
		switch {
		case err == nil:
		case errors.Is(err, sock.ErrWoken):
			continue
		case errors.Is(err, os.ErrDeadlineExceeded):
			k.fire(s.conn, s.log)
			continue
		case errors.Is(err, net.ErrClosed):
			return nil
		default:
			return fmt.Errorf("receiving on %v: %w", s.address, err)
		}
		events = s.take(batch.Datagrams(), events[:0])
		for _, e := range events {
			s.tell(e)
		}
	}
	return nil
}

// take hands a batch to the session.
func (s *Server) take(batch []sock.Datagram, events []Event) []Event {
	now := time.Now()
	wake := false
	s.lock.Lock()
	for _, d := range batch {
		if s.cfg.Trace != nil {
			s.traceReceived(now, d.From.Addr(), d.Data)
		}
		if s.session.Receive(now, d.From, d.Data) {
			wake = true
		}
	}
	events = s.session.TakeEvents(events)
	s.lock.Unlock()
	if wake {
		s.signal()
	}
	return events
}

func (s *Server) tell(e Event) {
	switch {
	case e.Kind == ClientReport || !s.said.more(time.Now(), s.log):
	case e.Kind == ClientJoined:
		s.log.Info("client joined", "node", e.Client.String(), "id", e.ID)
	case e.Kind == ClientLeft:
		s.log.Info("client left", "node", e.Client.String(), "id", e.ID)
	}
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(e)
	}
}

// keepalive announces the group membership after idle times. The C server gives
// up after a few failures; an interface that was away for longer comes back, too.
type keepalive struct {
	every  time.Duration
	failed bool // the latest time
}

// readWaitMax is how long a read waits when nothing else is due.
const readWaitMax = time.Minute

func (k *keepalive) deadline(now time.Time) time.Time {
	if k.every <= 0 {
		return now.Add(readWaitMax)
	}
	return now.Add(k.every)
}

func (k *keepalive) fire(c sock.Conn, log *slog.Logger) {
	if k.every <= 0 {
		return
	}
	err := c.Rejoin()
	if err != nil && !k.failed {
		log.Warn("group membership could not be announced", "err", err)
	}
	k.failed = err != nil
}
