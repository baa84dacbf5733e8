package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/multicast/internal/sock"
	"hyzer/multicast/wire"
)

// How patient the sender is.
const (
	overrunPause    = time.Millisecond
	sendErrorPause  = 100 * time.Millisecond
	sendErrorsMax   = 600 // in a row: a minute of a dead interface
	readErrorPause  = 100 * time.Millisecond
	readErrorsMax   = 100 // in a row, as the C server
	finalListenTime = 20 * time.Millisecond
)

// send does what the session says until it is over.
func (s *Server) send(ctx context.Context) (Reason, error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	ending := false
	for {
		if ctx.Err() != nil {
			if cause := context.Cause(ctx); cause != ctx.Err() {
				return ReasonNone, cause
			}
			return ReasonNone, ctx.Err()
		}
		if s.frames.waits && s.frames.ahead == nil {
			s.readAhead(ctx)
		}
		a, err := s.next(ending)
		switch {
		case err != nil && ctx.Err() != nil:
			continue // to say why
		case err != nil:
			return ReasonNone, err
		}
		switch a.Kind {
		case ActSend:
			err = s.write(ctx, a.Datagram)
		case ActBlocks, ActParity, ActManifest:
			err = s.sendBlocks(ctx, a)
		case ActSleep:
			s.sleep(ctx, timer, a.Until)
		case ActFinish:
			if s.isOver() {
				return a.Reason, nil
			}
			// A client may have joined this moment: hear what is in the socket.
			s.sleep(ctx, timer, time.Now().Add(finalListenTime))
		}
		if err != nil && ctx.Err() == nil {
			return ReasonNone, err
		}
		ending = a.Kind == ActFinish
	}
}

// next asks the session. With ending, a session that still is at its end is
// over for good.
func (s *Server) next(ending bool) (Action, error) {
	if err := s.frames.collect(); err != nil {
		return Action{}, err
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	now := time.Now()
	s.frames.wish(now, s.session)
	a := s.session.Next(now)
	s.over = ending && a.Kind == ActFinish
	if s.cfg.Trace != nil {
		s.traceSent(now, a)
	}
	if a.Kind == ActSleep {
		a.Until = s.frames.wake(a.Until)
	}
	return a, nil
}

func (s *Server) isOver() bool {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.over
}

// sleep waits until the time, if it is not zero, or until something comes in.
func (s *Server) sleep(ctx context.Context, timer *time.Timer, until time.Time) {
	var due <-chan time.Time
	if !until.IsZero() {
		timer.Reset(time.Until(until))
		due = timer.C
	}
	select {
	case <-due:
	case <-s.wake:
	case <-ctx.Done():
	}
}

func (s *Server) sendBlocks(ctx context.Context, a Action) error {
	if a.Kind == ActParity {
		frames, err := s.frames.parity(ctx, a)
		if err != nil {
			return err
		}
		return s.writeTo(ctx, s.parity, s.parityAddress(), frames, wire.DatagramBytesMax)
	}
	if a.Kind == ActManifest {
		return s.writeTo(ctx, s.parity, s.parityAddress(), s.frames.manifestBlocks(a), wire.DatagramBytesMax)
	}
	frames, err := s.frames.read(ctx, a)
	if err != nil {
		return err
	}
	return s.writeTo(ctx, s.conn, s.address, frames, frameBytes(a))
}

// frameBytes is the length of each datagram of an action.
func frameBytes(a Action) int {
	if a.Mode2 {
		return wire.DatagramBytesMax
	}
	return wire.BlockDatagramBytes
}

// readAhead starts to read on a goroutine of its own: a disk that is slow must
// not keep the sender from answers and from what is in memory. While the kernel has
// all that is asked for the sender reads: on a busy machine another goroutine comes
// late, and repairs with it.
func (s *Server) readAhead(ctx context.Context) {
	pool := s.cfg.Reads
	if pool == nil {
		pool = NewReadPool(2 * heldChunksMax * wire.ChunkBytes)
	}
	f := s.frames
	s.lock.Lock()
	defer s.lock.Unlock()
	f.ahead = newReadahead(f.image, f.geo, pool)
	s.session.readBy(f.ready)
	s.all.Go(func() { f.ahead.run(ctx, f.readFull, s.signal) })
}

// write sends one datagram to the session.
func (s *Server) write(ctx context.Context, b []byte) error {
	return s.writeTo(ctx, s.conn, s.address, b, wire.BlockDatagramBytes)
}

// writeTo sends datagrams of that length, or one that is shorter, and is
// patient with full queues and interfaces that are down, but not with EACCES: a
// broadcast address that was not said to be one never works.
func (s *Server) writeTo(ctx context.Context, conn sock.Conn, to netip.AddrPort, b []byte, bytes int) error {
	for failures := 0; ; {
		began := time.Now()
		err := conn.WriteSegments(b, bytes, to)
		s.writes.add(len(b), time.Since(began))
		pause := sendErrorPause
		switch {
		case err == nil, errors.Is(err, unix.ECONNREFUSED):
			// Refused is what the unicast peer said of an earlier datagram.
			return nil
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN):
			s.overrun()
			pause = overrunPause
		default:
			if failures++; failures > sendErrorsMax || ctx.Err() != nil || errors.Is(err, unix.EACCES) {
				return fmt.Errorf("sending to %v, check interface %v: %w", to, s.Self(), err)
			}
		}
		if !pauseFor(ctx, pause) {
			return ctx.Err()
		}
	}
}

func (s *Server) overrun() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.session.Overrun()
}

func pauseFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
