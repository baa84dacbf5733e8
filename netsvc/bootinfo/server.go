package bootinfo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"

	"hyzer/storage/registry"
)

// Reporter records states that a node has reached, in order, durably.
type Reporter interface {
	Report(ctx context.Context, node, source string, states ...string) error
}

// Config is what a Server needs.
type Config struct {
	Addr     netip.AddrPort // where to listen; port 0 is ServerPort
	Snapshot func() *registry.Snapshot
	Reports  Reporter
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
	// AnswerWait is how long an answer waits for its report to be durable;
	// 0: answerWaitMax.
	AnswerWait time.Duration
}

// Limits of a server.
const (
	reportsInFlightMax = 512                    // requests whose reports are being written
	answerWaitMax      = 500 * time.Millisecond // then the loader is answered all the same
	batchPackets       = 64                     // read and answered in one system call each
)

// Server answers bootinfo requests on one address.
type Server struct {
	cfg    Config
	conn   *net.UDPConn
	recent recent
	slots  chan struct{}
	work   sync.WaitGroup
	counts Counters
}

// Counters are totals since the start.
type Counters struct {
	Requests, Replies, Dropped, ReportsFailed, ReportsLate atomic.Int64
}

// New binds the socket, so that an address in use is known at once.
func New(cfg Config) (*Server, error) {
	if cfg.Addr.Port() == 0 {
		cfg.Addr = netip.AddrPortFrom(cfg.Addr.Addr(), ServerPort)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.AnswerWait == 0 {
		cfg.AnswerWait = answerWaitMax
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(cfg.Addr))
	if err != nil {
		return nil, fmt.Errorf("bootinfo: %w", err)
	}
	return &Server{cfg: cfg, conn: conn, slots: make(chan struct{}, reportsInFlightMax)}, nil
}

// Addr is the address in use.
func (s *Server) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Counters returns the totals, for reading.
func (s *Server) Counters() *Counters { return &s.counts }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	err := s.serve(ctx)
	s.conn.Close()
	s.work.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (s *Server) serve(ctx context.Context) error {
	p := ipv4.NewPacketConn(s.conn)
	// The answer must come from the address the loader asked.
	if err := p.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return fmt.Errorf("bootinfo: asking for destination addresses: %w", err)
	}
	in, out := newBatch(batchPackets), &outBatch{s: s, conn: p}
	for {
		n, err := p.ReadBatch(in, 0)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("bootinfo: receiving: %w", err)
		}
		for i := range in[:n] {
			s.datagram(ctx, out, &in[i])
			in[i].NN = 0
		}
		out.send()
	}
}

func newBatch(n int) []ipv4.Message {
	messages := make([]ipv4.Message, n)
	for i := range messages {
		messages[i].Buffers = [][]byte{make([]byte, PacketBytes)}
		messages[i].OOB = ipv4.NewControlMessage(ipv4.FlagDst)
	}
	return messages
}

// datagram handles one request: at once if there is nothing to report, beside
// the loop otherwise.
func (s *Server) datagram(ctx context.Context, batch *outBatch, m *ipv4.Message) {
	s.counts.Requests.Add(1)
	from := m.Addr.(*net.UDPAddr).AddrPort().Addr().Unmap()
	req, err := DecodeRequest(m.Buffers[0][:m.N])
	if err != nil {
		s.counts.Dropped.Add(1)
		s.cfg.Log.Debug("bad request", "service", "bootinfo", "from", from, "error", err)
		return
	}
	snapshot := s.cfg.Snapshot()
	out, ok := Handle(snapshot, req, from)
	if !ok || out.Node == "" && m.N < PacketBytes {
		// To strangers no more is sent than they sent: addresses can be
		// forged. Every loader's question has the full length.
		s.counts.Dropped.Add(1)
		return
	}
	var control ipv4.ControlMessage
	if err := control.Parse(m.OOB[:m.NN]); err != nil {
		control.Dst = nil
	}
	if len(out.States) == 0 || !s.recent.first(from, snapshot.State(out.Node).Seq, s.cfg.Now()) {
		batch.add(from, control.Dst, &out)
		return
	}
	select {
	case s.slots <- struct{}{}:
	default: // overloaded: the loader asks again
		s.recent.forget(from)
		s.counts.Dropped.Add(1)
		return
	}
	s.work.Go(func() {
		defer func() { <-s.slots }()
		s.report(ctx, from, out, func() {
			one := outBatch{s: s, conn: batch.conn}
			one.add(from, control.Dst, &out)
			one.send()
		})
	})
}

// report makes the states durable, then answers: a loader that boots although
// its state was lost would be found in a wrong mode later. But a loader that
// hears nothing gives up, or boots its disk; a few in a row and a machine that
// was to be loaded runs an old system. So the answer does not wait for longer
// than answerWaitMax, and the report goes on beside it. A shorter wait is not
// safe: a loader that was told to wait, and whose PXEWAIT comes to the store
// behind an order to load, sleeps until that order is tried again.
func (s *Server) report(ctx context.Context, from netip.Addr, out Outcome, reply func()) {
	late := time.AfterFunc(s.cfg.AnswerWait, func() {
		s.counts.ReportsLate.Add(1)
		reply()
	})
	err := s.cfg.Reports.Report(ctx, out.Node, "bootinfo", out.States...)
	if err != nil {
		s.counts.ReportsFailed.Add(1)
		s.recent.forget(from)
		s.cfg.Log.Warn("state not recorded", "service", "bootinfo", "node", out.Node, "states", out.States, "error", err)
	}
	if err == nil {
		s.recent.done(from, s.cfg.Snapshot().State(out.Node).Seq)
	}
	if late.Stop() {
		reply()
	}
}
