package client

import (
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"

	"hyzer/multicast/internal/sock"
)

// parityBatches is how many batches of datagrams may wait for the machine; the
// kernel keeps the rest.
const parityBatches = 2

// parityErrorPause is how long a reader of a broken socket waits.
const parityErrorPause = time.Second

// parityPort reads the socket of mode 2 for the goroutine that owns the
// machine, and wakes that.
type parityPort struct {
	conn   sock.Conn
	filled chan *sock.Batch
	empty  chan *sock.Batch
	stop   chan struct{}
	reader sync.WaitGroup
}

func newParityPort(conn sock.Conn, wake func()) *parityPort {
	p := &parityPort{
		conn: conn, filled: make(chan *sock.Batch, parityBatches), empty: make(chan *sock.Batch, parityBatches),
		stop: make(chan struct{}),
	}
	for range parityBatches {
		p.empty <- sock.NewBatch(true)
	}
	p.reader.Go(func() { p.read(wake) })
	return p
}

// read fills batches until stop is closed.
func (p *parityPort) read(wake func()) {
	for !p.stopped() {
		var batch *sock.Batch
		select {
		case batch = <-p.empty:
		case <-p.stop:
			return
		}
		err := p.conn.ReadBatch(batch, time.Now().Add(tickMax))
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, sock.ErrWoken) {
			select {
			case <-time.After(parityErrorPause):
			case <-p.stop:
				return
			}
		}
		if err != nil || len(batch.Datagrams()) == 0 {
			p.empty <- batch
			continue
		}
		p.filled <- batch // has room for all there are
		wake()
	}
}

func (p *parityPort) stopped() bool {
	select {
	case <-p.stop:
		return true
	default:
		return false
	}
}

func (p *parityPort) close() {
	close(p.stop)
	p.conn.Wake()
	p.reader.Wait()
	p.conn.Close()
}

// followParity opens the parity address when the server has granted one, and
// another when that changes. Without it losses are repaired as ever.
func (s *shell) followParity() {
	at, ok := s.r.ParityAddress()
	if !ok || at == s.tried {
		return
	}
	s.closeParity()
	s.tried = at
	conn, err := s.openParity(at)
	if err != nil {
		s.log.Warn("parity blocks cannot be received", "service", "frisbee", "address", at.String(), "err", err)
	} else {
		s.parity = newParityPort(conn, s.conn.Wake)
	}
	s.r.SetParityOpen(err == nil)
}

func (s *shell) openParity(at netip.AddrPort) (sock.Conn, error) {
	if s.cfg.OpenParity != nil {
		return s.cfg.OpenParity(at)
	}
	conn, _, err := sock.Open(sock.Config{
		Session: at, Iface: s.conn.Local().Addr(), Peer: s.r.Server(), Broadcast: s.cfg.Broadcast, Client: true,
		ShareHost: s.cfg.ShareHost, BufferBytes: s.cfg.SocketBufferBytes,
	})
	return conn, err
}

// feedParity hands what came to the machine.
func (s *shell) feedParity(now time.Time) {
	for s.parity != nil {
		select {
		case batch := <-s.parity.filled:
			s.taken += len(batch.Datagrams())
			for _, d := range batch.Datagrams() {
				s.r.ReceiveParity(now, d.From, d.Data)
			}
			s.parity.empty <- batch
		default:
			return
		}
	}
}

// holdAsks puts off what the machine would ask for while datagrams that it does
// not know yet are here: they may be what it misses, or another client that asks
// for it.
func (s *shell) holdAsks(now time.Time) {
	if s.parity != nil && s.r.asks(now) && (len(s.parity.filled) > 0 || s.parity.conn.Backlog().Bytes > 0) {
		s.r.holdAsks(now)
	}
}

func (s *shell) closeParity() {
	if s.parity != nil {
		s.parity.close()
		s.parity = nil
	}
}
