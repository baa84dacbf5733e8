package dhcp

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
)

// Limits of the running server.
const (
	// batchDatagrams is how many datagrams one system call reads or writes.
	batchDatagrams = 64
	// staleDiscoverAfter is the age at which a DISCOVER is dropped unread: the
	// client has sent another (RFC 2131 §4.1, and UEFI's 4, 8, 16, 32 s).
	staleDiscoverAfter = 4 * time.Second
	// queuedRepliesMax bounds the ACKs that wait for the store.
	queuedRepliesMax = 4096
	// commitTimeoutDefault bounds one write of the store.
	commitTimeoutDefault = 5 * time.Second
	// receiveBufferBytes asks the kernel to keep a power-on of a whole site.
	receiveBufferBytes = 4 << 20
	// interfacesMax bounds the sockets.
	interfacesMax = 256
)

// Config is what a Server needs. Snapshot and Leases are required, and at
// least one of Interfaces and Addresses.
type Config struct {
	// Interfaces are served by name, each with sockets of its own that hear
	// broadcasts (SO_BINDTODEVICE). The subnet of a client on the wire is that
	// of the interface's primary address.
	Interfaces []string
	// Addresses get sockets bound to them. Such a socket hears no broadcast:
	// it is for relayed requests and for loopback.
	Addresses []netip.Addr
	// Port and BootServerPort are 67 and 4011 if zero.
	Port, BootServerPort uint16
	// EphemeralPorts lets the kernel choose both; Endpoints says which. For
	// tests.
	EphemeralPorts bool
	// ClientPort and RelayPort are where replies go, 68 and 67 if zero.
	ClientPort, RelayPort uint16
	// ReplyToSource answers requests from loopback addresses at their source
	// address and port, whatever giaddr and flags say. For tests and loopback
	// labs only, where many clients share one host and nobody has port 68.
	ReplyToSource bool
	// Snapshot returns the present directory. It is called for each batch of
	// requests and must not block.
	Snapshot func() Directory
	Leases   Leases
	// CommitTimeout bounds one Leases.Commit, 5 s if zero, to within a second.
	CommitTimeout time.Duration
	// Served, if set, hears of each reply after it was sent. It is called on
	// the server's goroutines and must not block.
	Served func(Event)
	Log    *slog.Logger // slog.Default() if nil
}

// Event is a reply that was sent.
type Event struct {
	Node   string // empty for an unknown machine
	Client HardwareAddr
	Type   MessageType
	Reason Reason
	Class  Class
	IP     netip.Addr // given or kept; not set by a proxy's answer and a NAK
	// BootServer is set for an answer on port 4011.
	BootServer bool
}

// Endpoint is a pair of addresses the server listens on.
type Endpoint struct {
	DHCP, BootServer netip.AddrPort
	Interface        string // empty for an address
}

// Server answers DHCP on port 67 and PXE boot server requests on port 4011.
type Server struct {
	cfg     Config
	log     *slog.Logger
	start   time.Time
	links   []*link
	raw     *rawSocket // nil where not permitted
	counts  counters
	replies sync.Pool // of *replyBuffer
	warned  warnings
	watch   watchdog
	// notStored is when the committer last complained of the store.
	notStored Instant

	closed sync.Once

	mu    sync.Mutex // guards table and queue
	table *Table
	queue []pending
	// stopped is set when the committer has ended: the queue goes nowhere.
	stopped bool
	wake    chan struct{} // has one element when queue may hold something
	ended   []Lease       // scratch of Advance
}

type replyBuffer [replyBytesMax]byte

// New loads the leases and opens the sockets; the privileges they need may be
// dropped afterwards. Errors name the setting, interface or address at fault.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Log, start: time.Now(), wake: make(chan struct{}, 1)}
	s.replies.New = func() any { return new(replyBuffer) }
	if s.log == nil {
		s.log = slog.Default()
	}
	s.log = s.log.With("service", "dhcp")
	leases, err := cfg.Leases.Load()
	if err != nil {
		return nil, fmt.Errorf("dhcp: load leases: %w", err)
	}
	if s.table, err = NewTable(leases, s.now()); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (cfg *Config) check() error {
	switch {
	case cfg.Snapshot == nil || cfg.Leases == nil:
		return errors.New("dhcp: Config needs Snapshot and Leases")
	case len(cfg.Interfaces)+len(cfg.Addresses) == 0:
		return errors.New("dhcp: no interface and no address to serve; name one")
	case len(cfg.Interfaces)+len(cfg.Addresses) > interfacesMax:
		return fmt.Errorf("dhcp: more than %d interfaces and addresses", interfacesMax)
	}
	cfg.Port = portOr(cfg.Port, serverPort)
	cfg.BootServerPort = portOr(cfg.BootServerPort, bootServerPort)
	if cfg.EphemeralPorts {
		cfg.Port, cfg.BootServerPort = 0, 0
	}
	if cfg.CommitTimeout == 0 {
		cfg.CommitTimeout = commitTimeoutDefault
	}
	return nil
}

func (s *Server) open() error {
	for _, name := range s.cfg.Interfaces {
		if err := s.openPair(name, netip.IPv4Unspecified()); err != nil {
			return err
		}
	}
	for _, addr := range s.cfg.Addresses {
		if err := s.openPair("", addr); err != nil {
			return err
		}
	}
	raw, err := newRawSocket()
	if err != nil {
		s.log.Info("no raw socket: clients without an address are answered by broadcast; grant CAP_NET_RAW to answer by unicast", "error", err)
		return nil
	}
	s.raw = raw
	return nil
}

func (s *Server) openPair(iface string, addr netip.Addr) error {
	for _, bootServer := range [...]bool{false, true} {
		port := s.cfg.Port
		if bootServer {
			port = s.cfg.BootServerPort
		}
		l, err := listen(iface, netip.AddrPortFrom(addr, port))
		if err != nil {
			return err
		}
		l.bootServer = bootServer
		s.links = append(s.links, l)
	}
	return nil
}

// Endpoints returns what the server listens on, interfaces first.
func (s *Server) Endpoints() []Endpoint {
	var list []Endpoint
	for i := 0; i+1 < len(s.links); i += 2 {
		list = append(list, Endpoint{s.links[i].local(), s.links[i+1].local(), s.links[i].iface})
	}
	return list
}

// now is the monotonic time since New.
func (s *Server) now() Instant { return time.Since(s.start) }

// Run serves until ctx ends, stores and answers what is under way, closes the
// sockets and returns nil, or returns the error of a socket that broke. It is
// called once.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var receivers, committer, ticker sync.WaitGroup
	drained, finished := make(chan struct{}), make(chan struct{})
	committer.Go(func() { s.commitLoop(drained) })
	ticker.Go(func() { s.tick(finished) })
	for _, l := range s.links {
		receivers.Go(func() {
			if err := s.receive(l); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	for _, l := range s.links {
		l.interrupt()
	}
	receivers.Wait()
	close(drained)
	committer.Wait()
	close(finished)
	ticker.Wait()
	s.Close()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// tickEvery is how often leases end without a request coming in, and how
// exact CommitTimeout is.
const tickEvery = time.Second

// tick ends leases while nobody asks, so that the store and operators see it,
// and watches the store.
func (s *Server) tick(finished <-chan struct{}) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-finished:
			return
		case <-ticker.C:
			s.watch.check(s.now(), s.cfg.CommitTimeout)
			s.mu.Lock()
			s.advance(s.cfg.Snapshot(), s.now())
			s.mu.Unlock()
		}
	}
}

// receive reads batches until the link is interrupted.
func (s *Server) receive(l *link) error {
	b := newBatch(l)
	for {
		n, err := b.inbox.read()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return nil
		case err != nil && isTransient(err):
			continue // an ICMP error of an earlier reply
		case err != nil:
			return fmt.Errorf("dhcp: receive on %s: %w", l, err)
		}
		s.counts.received.Add(uint64(n))
		s.serveBatch(b, n)
	}
}

// Close closes the sockets. It is for a Server that is not run: Run closes them
// itself. Closing twice does nothing.
func (s *Server) Close() { s.closed.Do(s.closeAll) }

func (s *Server) closeAll() {
	s.watch.close()
	for _, l := range s.links {
		l.close()
	}
	if s.raw != nil {
		s.raw.close()
	}
}

// Explain says what a machine would be answered now, and why.
func (s *Server) Explain(q Question) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := s.cfg.Snapshot()
	now := s.now()
	s.advance(dir, now)
	return Explain(q, dir, s.table, now)
}
