package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
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
		a := s.next(ending)
		switch a.Kind {
		case ActSend:
			if err := s.write(ctx, a.Datagram); err != nil {
				return ReasonNone, err
			}
		case ActBlocks, ActParity, ActManifest:
			if err := s.sendBlocks(ctx, a); err != nil {
				return ReasonNone, err
			}
		case ActSleep:
			s.sleep(ctx, timer, a.Until)
		case ActFinish:
			if s.isOver() {
				return a.Reason, nil
			}
			// A client may have joined this moment: hear what is in the socket.
			s.sleep(ctx, timer, time.Now().Add(finalListenTime))
		}
		ending = a.Kind == ActFinish
	}
}

// next asks the session. With ending, a session that still is at its end is
// over for good.
func (s *Server) next(ending bool) Action {
	s.lock.Lock()
	defer s.lock.Unlock()
	a := s.session.Next(time.Now())
	s.over = ending && a.Kind == ActFinish
	return a
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

// write sends one datagram to the session.
func (s *Server) write(ctx context.Context, b []byte) error {
	return s.writeTo(ctx, s.conn, s.address, b, wire.BlockDatagramBytes)
}

// writeTo sends datagrams of that length, or one that is shorter, and is
// patient with full queues and interfaces that are down.
func (s *Server) writeTo(ctx context.Context, conn sock.Conn, to netip.AddrPort, b []byte, bytes int) error {
	for failures := 0; ; {
		err := conn.WriteSegments(b, bytes, to)
		pause := sendErrorPause
		switch {
		case err == nil, errors.Is(err, unix.ECONNREFUSED):
			// Refused is what the unicast peer said of an earlier datagram.
			return nil
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN):
			s.overrun()
			pause = overrunPause
		default:
			if failures++; failures > sendErrorsMax || ctx.Err() != nil {
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

// framer reads ranges of blocks and makes datagrams of them.
type framer struct {
	image     Image
	geo       wire.Geometry
	src       [4]byte
	data      []byte
	frames    []byte
	bytesRead atomic.Uint64
	ahead     int // chunk that was prefetched
	repairs   parityCache
	key       *wire.BlockKey // nil: blocks have no tags
	manifest  []byte
}

func newFramer(image Image, geo wire.Geometry, src [4]byte) *framer {
	return &framer{
		image: image, geo: geo, src: src, ahead: -1,
		data:   make([]byte, BlocksPerActionMax*wire.BlockBytes),
		frames: make([]byte, sock.SegmentsMax*wire.DatagramBytesMax),
	}
}

// read returns the datagrams of a's blocks, back to back. They are valid until
// the next call.
func (f *framer) read(ctx context.Context, a Action) ([]byte, error) {
	f.prefetch(a)
	offset := f.geo.ChunkOffset(a.Chunk) + int64(a.First)*wire.BlockBytes
	want := int(min(int64(a.Count)*wire.BlockBytes, f.geo.FileBytes()-offset))
	if err := f.readFull(ctx, f.data[:want], offset); err != nil {
		return nil, fmt.Errorf("reading %s at %d: %w", f.image.Name(), offset, err)
	}
	clear(f.data[want : a.Count*wire.BlockBytes])
	n := frameBytes(a)
	for i := range a.Count {
		frame := f.frames[i*n : (i+1)*n]
		wire.PutBlockHeader(frame, uint32(a.Chunk), uint32(a.First+i), f.src)
		copy(frame[wire.BlockDataOffset:], f.data[i*wire.BlockBytes:(i+1)*wire.BlockBytes])
		f.trail(frame, a, i)
	}
	return f.frames[:a.Count*n], nil
}

// trail puts the trailer behind the i-th datagram of a, if it is to have one.
func (f *framer) trail(frame []byte, a Action, i int) {
	if !a.Mode2 {
		return
	}
	t := a.Trailer
	t.Seq += uint32(i)
	t.Left -= uint16(i)
	wire.PutTrailer(frame, t, f.key)
}

// prefetch asks for the rest of this chunk and the next when a chunk begins:
// clients mostly ask in order.
func (f *framer) prefetch(a Action) {
	if f.ahead == a.Chunk {
		return
	}
	f.ahead = a.Chunk
	f.image.Prefetch(f.geo.ChunkOffset(a.Chunk), 2*wire.ChunkBytes)
}

// readFull reads exactly p and makes sure that it is of the opened version.
func (f *framer) readFull(ctx context.Context, p []byte, offset int64) error {
	for failures := 1; ; failures++ {
		n, err := f.image.ReadAt(p, offset)
		f.bytesRead.Add(uint64(n))
		if changed := f.image.Check(); changed != nil {
			return changed
		}
		if n == len(p) {
			return nil
		}
		if failures >= readErrorsMax {
			return fmt.Errorf("%d attempts failed: %w", failures, err)
		}
		if !pauseFor(ctx, readErrorPause) {
			return ctx.Err()
		}
	}
}
