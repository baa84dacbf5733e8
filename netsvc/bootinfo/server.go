package bootinfo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"

	"hyzer/storage/registry"
)

// Config is what a Server needs.
type Config struct {
	Addr     netip.AddrPort // where to listen; port 0 is ServerPort
	Snapshot func() *registry.Snapshot
	Reports  Reporter
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
	// AnswerWait is how long an answer waits for its report to be durable;
	// 0: answerWaitMax; negative: not at all.
	AnswerWait time.Duration
}

// Limits of a server.
const (
	answerWaitMax = 4 * time.Millisecond // of the 5 ms in which a loader is answered
	batchPackets  = 64                   // read and answered in one system call each
	lookEvery     = time.Millisecond     // see receive
	lookFor       = 5 * time.Second      // after a question: loaders come in crowds, and ask again
)

// Server answers bootinfo requests on one address.
type Server struct {
	cfg     Config
	conn    *net.UDPConn
	reports reports
	counts  Counters
}

// Counters are totals since the start.
type Counters struct {
	Requests, Replies, Dropped atomic.Int64
	// Attempts that failed; answers that went out before their reports were
	// durable; reports that were given up.
	ReportsFailed, ReportsLate, ReportsLost atomic.Int64
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
	s := &Server{cfg: cfg, conn: conn}
	s.reports = reports{to: cfg.Reports, snapshot: cfg.Snapshot, log: cfg.Log, counts: &s.counts, wait: cfg.AnswerWait,
		clock: cfg.Now, slots: make(chan struct{}, reportsInFlightMax)}
	return s, nil
}

// Addr is the address in use.
func (s *Server) Addr() netip.AddrPort { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Counters returns the totals, for reading.
func (s *Server) Counters() *Counters { return &s.counts }

// Run serves until ctx ends. Reports of loaders that were answered go on for
// reportGrace then.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()
	outlasting, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	retry, stopRetry := context.WithCancel(outlasting)
	defer stopRetry()
	var retries sync.WaitGroup
	retries.Go(func() { s.reports.retry(retry) })
	err := s.serve(outlasting)
	s.conn.Close()
	defer time.AfterFunc(reportGrace, cancel).Stop()
	s.reports.work.Wait()
	stopRetry()
	retries.Wait()
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
	var last time.Time
	for {
		n, err := s.receive(p, in, last)
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
		last = time.Now()
	}
}

// receive waits for questions; last is when the one before came. While loaders
// ask it looks for the next by itself: Go's scheduler asks the kernel what has
// come when a processor is idle, or else each 10 ms, but looks at its timers
// between any two goroutines.
func (s *Server) receive(p *ipv4.PacketConn, in []ipv4.Message, last time.Time) (int, error) {
	for {
		var look time.Time // never
		if now := time.Now(); now.Sub(last) < lookFor {
			look = now.Add(lookEvery)
		}
		if err := s.conn.SetReadDeadline(look); err != nil {
			return 0, err
		}
		n, err := p.ReadBatch(in, 0)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
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
	answered := s.reports.answer(ctx, snapshot, req, from, out, func(out *Outcome, beside bool) {
		if !beside {
			batch.add(from, control.Dst, out)
			return
		}
		one := outBatch{s: s, conn: batch.conn}
		one.add(from, control.Dst, out)
		one.send()
	})
	if !answered {
		s.counts.Dropped.Add(1)
	}
}
