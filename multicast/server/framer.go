package server

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"hyzer/multicast/internal/sock"
	"hyzer/multicast/wire"
)

// framer reads ranges of blocks and makes datagrams of them.
type framer struct {
	image    Image
	geo      wire.Geometry
	src      [4]byte
	data     []byte // of blocks that were not read ahead
	frames   []byte
	ahead    *readahead // nil: what is sent is read then
	waits    bool       // reading has to wait for a disk
	hinted   int        // chunk that was prefetched without
	piece    int        // bytes of one read
	reads    timing     // of the file
	repairs  parityCache
	key      *wire.BlockKey // nil: blocks have no tags
	manifest []byte
}

func newFramer(image Image, geo wire.Geometry, src [4]byte) *framer {
	_, cached := image.(cachedReader)
	return &framer{
		waits: !cached, image: image, geo: geo, src: src, hinted: -1, piece: wire.ChunkBytes,
		frames: make([]byte, sock.SegmentsMax*wire.DatagramBytesMax),
	}
}

// read returns the datagrams of a's blocks, back to back. They are valid until
// the next call.
func (f *framer) read(ctx context.Context, a Action) ([]byte, error) {
	data, err := f.blocks(ctx, a.Chunk, a.First, a.Count, &f.data)
	if err != nil {
		return nil, err
	}
	f.ahead.sent(a.Chunk, a.First, a.Count)
	n := frameBytes(a)
	for i := range a.Count {
		frame := f.frames[i*n : (i+1)*n]
		wire.PutBlockHeader(frame, uint32(a.Chunk), uint32(a.First+i), f.src)
		block := frame[wire.BlockDataOffset:wire.BlockDatagramBytes]
		clear(block[copy(block, data[i*wire.BlockBytes:]):]) // the last one may be short
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

// ready says whether something can be sent without waiting for the disk.
func (f *framer) ready(n need) bool {
	if f.ahead == nil || f.ahead.dry() || f.coded(n) {
		return true
	}
	h := f.ahead.find(n)
	return h != nil && !h.loading
}

// coded says whether the parity blocks that are needed are there already.
func (f *framer) coded(n need) bool { return n.parity >= 0 && f.repairs.find(n.chunk, n.parity) >= 0 }

// wish tells what is to be sent next, so that it is read by then.
func (f *framer) wish(now time.Time, s *Session) {
	if f.ahead == nil {
		return
	}
	w := s.upcoming(f.ahead.wishes[:0], upcomingMax)
	f.ahead.wishes = slices.DeleteFunc(w, f.coded)
	f.ahead.want(now)
}

// collect takes in what was read ahead. The error is that of the image.
func (f *framer) collect() error {
	if f.ahead == nil {
		return nil
	}
	return f.ahead.collect()
}

// wake is when to wish again, given when there is something to send.
func (f *framer) wake(until time.Time) time.Time {
	if f.ahead == nil {
		return until
	}
	return f.ahead.wake(until)
}

// blocks returns the bytes of blocks, up to the end of the file. If they were
// not read ahead they are read now, into buf. They are valid until the next call.
func (f *framer) blocks(ctx context.Context, chunk, first, count int, buf *[]byte) ([]byte, error) {
	if data := f.ahead.get(chunk, first, count); data != nil {
		return data, nil
	}
	offset := f.geo.ChunkOffset(chunk) + int64(first)*wire.BlockBytes
	n := int(min(int64(count)*wire.BlockBytes, f.geo.FileBytes()-offset))
	if n > len(*buf) {
		*buf = make([]byte, max(n, BlocksPerActionMax*wire.BlockBytes))
	}
	if f.hinted != chunk { // clients mostly ask in order
		f.hinted = chunk
		f.image.Prefetch(f.geo.ChunkOffset(chunk), 2*wire.ChunkBytes)
	}
	if data := (*buf)[:n]; f.readCached(data, offset) {
		return data, nil
	}
	f.waits = true
	return (*buf)[:n], f.readFull(ctx, (*buf)[:n], offset)
}

// readCached reads all of p if that needs no disk, and it is of the opened version.
func (f *framer) readCached(p []byte, offset int64) bool {
	c, ok := f.image.(cachedReader)
	if !ok {
		return false
	}
	n, err := f.readPieces(c.ReadCached, p, offset)
	return err == nil && n == len(p) && f.image.Check() == nil
}

// readFull reads exactly p and makes sure that it is of the opened version.
func (f *framer) readFull(ctx context.Context, p []byte, offset int64) error {
	for failures := 1; ; failures++ {
		n, err := f.readPieces(f.image.ReadAt, p, offset)
		if changed := f.image.Check(); changed != nil {
			return changed
		}
		if n == len(p) {
			return nil
		}
		if failures >= readErrorsMax {
			return fmt.Errorf("reading %s at %d: %d attempts failed: %w", f.image.Name(), offset, failures, err)
		}
		if !pauseFor(ctx, readErrorPause) {
			return ctx.Err()
		}
	}
}

// readPieces reads p with read, as far as it can.
func (f *framer) readPieces(read func([]byte, int64) (int, error), p []byte, offset int64) (n int, err error) {
	for err == nil && n < len(p) {
		began, k := time.Now(), 0
		k, err = read(p[n:min(n+f.piece, len(p))], offset+int64(n))
		if k <= 0 && err == nil {
			err = io.ErrUnexpectedEOF
		}
		n += max(k, 0)
		f.reads.add(max(k, 0), time.Since(began))
	}
	return n, err
}
