package tmcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hyzer/storage/registry"
)

// Ports are where clients look for the service, in this order.
func Ports() []uint16 { return []uint16{7777, 14447} }

// Config is what a Server needs.
type Config struct {
	// Addrs are where to listen, TCP and UDP each; empty is Ports on all
	// addresses.
	Addrs    []netip.AddrPort
	Snapshot func() *registry.Snapshot
	// Moved is closed when Snapshot has a newer one; nil: nobody can watch.
	Moved   func() <-chan struct{}
	Effects Effects
	Log     *slog.Logger
	// TLS serves clients that send the legacy TLS tag; nil closes on them,
	// as on all other clients that this server does not speak with.
	TLS *tls.Config
	// ImageKey is the key of the multicast sessions of a version of an image,
	// which load info over TLS hands out; empty, or nil: there is none.
	ImageKey func(registry.Ref) string
	// ClearControlNodes lets nodes of role ctrlnode use clear TCP.
	ClearControlNodes bool
	// EmptyDatagrams answers an empty reply over UDP with an empty datagram,
	// which makes tmcc exit at once. The C server is silent.
	EmptyDatagrams bool
	// WatchesMax bounds the watches that are open at a time; 0 is
	// WatchesMaxUsual.
	WatchesMax int
	// Timeouts are for tests; zero ones are the defaults.
	Timeouts Timeouts
}

// Timeouts of one connection.
type Timeouts struct {
	Head     time.Duration // from accept to a whole command word
	Quiet    time.Duration // between two reads of a request's rest
	LateBody time.Duration // the same for versions that do not half-close
	Body     time.Duration // for the whole request
	Effects  time.Duration // until effects are durable
	Reply    time.Duration // for the client to take its reply
}

func (t Timeouts) withDefaults() Timeouts {
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Head, headTimeout}, {&t.Quiet, quietTimeout}, {&t.LateBody, lateBodyTimeout},
		{&t.Body, bodyTimeout}, {&t.Effects, effectsTimeout}, {&t.Reply, replyTimeout},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return t
}

// Counters are totals since the start.
type Counters struct {
	Connections, Refused, Datagrams, DatagramsDropped, Replies, EffectsFailed, Panics, ProofsRefused atomic.Int64
}

// Server answers on its addresses.
type Server struct {
	cfg     Config
	handler *Handler
	tcp     []*listener // several for each address
	addrs   []netip.AddrPort
	udp     []*datagramConn
	gate    *gate
	conns   chan struct{} // taken by open connections
	logs    chan struct{} // taken by boot logs being stored
	slots   chan struct{} // taken by datagrams in flight
	work    sync.WaitGroup
	counts  Counters
	framed  *framedState
}

// New binds all addresses, so that one in use is known at once.
func New(cfg Config) (*Server, error) {
	if len(cfg.Addrs) == 0 {
		for _, port := range Ports() {
			cfg.Addrs = append(cfg.Addrs, netip.AddrPortFrom(netip.IPv4Unspecified(), port))
		}
	}
	cfg.Timeouts = cfg.Timeouts.withDefaults()
	s := &Server{cfg: cfg, handler: NewHandler(), gate: newGate(), conns: make(chan struct{}, connectionsMax),
		logs: make(chan struct{}, logsMax), slots: make(chan struct{}, datagramsInFlightMax)}
	if cfg.ImageKey != nil {
		s.handler.ImageKey = cfg.ImageKey
	}
	s.handler.ClearControlNodes = cfg.ClearControlNodes
	s.framed = newFramedState(&cfg)
	for _, addr := range cfg.Addrs {
		if err := s.bind(addr); err != nil {
			s.close()
			return nil, fmt.Errorf("tmcd: %w", err)
		}
	}
	return s, nil
}

// bind takes one address for both protocols. Port 0 gives UDP the port that
// TCP got.
func (s *Server) bind(addr netip.AddrPort) error {
	tcp, err := listenTCP(addr)
	s.tcp = append(s.tcp, tcp...)
	if err != nil {
		return err
	}
	s.addrs = append(s.addrs, tcp[0].addr)
	udp, err := listenDatagrams(netip.AddrPortFrom(addr.Addr(), tcp[0].addr.Port()))
	if err != nil {
		return err
	}
	s.udp = append(s.udp, udp)
	return nil
}

// Addrs are the addresses in use.
func (s *Server) Addrs() []netip.AddrPort { return slices.Clone(s.addrs) }

// Counters returns the totals, for reading.
func (s *Server) Counters() *Counters { return &s.counts }

// Run serves until ctx ends, then gives requests that are being executed a
// moment to finish.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, l := range s.tcp {
		s.work.Go(func() { cancel(s.acceptLoop(ctx, l)) })
	}
	for _, c := range s.udp {
		s.work.Go(func() { cancel(s.datagramLoop(ctx, c)) })
	}
	if s.cfg.Moved != nil {
		s.work.Go(func() { s.watchLoop(ctx) })
	}
	<-ctx.Done()
	s.close()
	s.framed.stop()
	hurry := time.AfterFunc(stopTimeout, s.gate.closeAll)
	s.work.Wait()
	if !hurry.Stop() {
		s.gate.closeAll() // has run or is running: let it end
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("tmcd: %w", cause)
	}
	return nil
}

func (s *Server) close() {
	for _, l := range s.tcp {
		l.file.Close()
	}
	for _, c := range s.udp {
		c.udp.Close()
	}
}

// execute makes a result's effects durable. Its time does not end with the
// server's: a request that was accepted is finished also while that stops. The
// reply may become another one (answerBoot).
func (s *Server) execute(adm *Admission, result *Result) error {
	for _, effect := range result.Effects {
		if err := s.executeOne(adm, result, effect); err != nil {
			s.counts.EffectsFailed.Add(1)
			return err
		}
	}
	return nil
}

func (s *Server) executeOne(adm *Admission, result *Result, effect Effect) error {
	timeout := s.cfg.Timeouts.Effects
	_, isLog := effect.(BootLog)
	if isLog {
		timeout += s.cfg.Timeouts.Body // it comes from the network
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if isLog {
		select {
		case s.logs <- struct{}{}:
			defer func() { <-s.logs }()
		case <-ctx.Done():
			return fmt.Errorf("%d boot logs are being stored: %w", logsMax, ctx.Err())
		}
	}
	if boot, ok := effect.(BootReport); ok {
		return s.answerBoot(ctx, adm, result, boot)
	}
	return effect.apply(ctx, s.cfg.Effects)
}

// contain turns a panic over one datagram into a log line.
func (s *Server) contain(from netip.Addr) {
	if v := recover(); v != nil {
		s.panicked(from, v)
	}
}

func (s *Server) panicked(from netip.Addr, v any) {
	s.counts.Panics.Add(1)
	s.cfg.Log.Error("request dropped: its handler panicked; please report it", "service", "tmcd", "from", from,
		"panic", v, "stack", string(debug.Stack()))
}

// logRefused says who was turned away. It is at debug level: any host can
// cause it.
func (s *Server) logRefused(adm *Admission, from netip.Addr) {
	s.counts.Refused.Add(1)
	s.cfg.Log.Debug("request refused", "service", "tmcd", "from", from, "node", adm.Node, "command", adm.Command, "reason", adm.Refused)
}
