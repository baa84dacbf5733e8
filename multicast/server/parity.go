package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/multicast/fec"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/wire"
)

// parityCacheChunks is how many chunks' parity blocks are kept, a quarter of a
// megabyte each.
const parityCacheChunks = 16

// A parityAheadDiv-th of a round, and parityAheadMin, is how many more parity
// blocks are computed than it needs.
const (
	parityAheadDiv = 4
	parityAheadMin = 4
)

// parityErrorPause is how long a reader of a broken socket waits.
const parityErrorPause = time.Second

// openParity opens the port of mode 2, if that is wanted.
func (s *Server) openParity() (*Mode2, error) {
	if !s.cfg.Mode2 {
		return nil, nil
	}
	m := &Mode2{
		Version: wire.Version{ImageID: s.cfg.ImageID, Epoch: uint32(time.Now().UnixMilli())},
		Key:     s.cfg.Key, ManifestBytes: len(s.cfg.Manifest),
	}
	if m.ImageID == 0 {
		m.ImageID = imageID(s.cfg.Image)
	}
	if s.parity = s.cfg.ParityConn; s.parity == nil {
		var err error
		if s.parity, err = s.openParityConn(); err != nil {
			return nil, fmt.Errorf("opening the port of mode 2: %w", err)
		}
	}
	m.ParityPort = s.parity.Local().Port()
	return m, nil
}

// openParityConn takes the first free port of those that are configured, but
// never the session's own.
func (s *Server) openParityConn() (sock.Conn, error) {
	for port := int(s.cfg.FirstParityPort); ; port++ {
		if port != 0 && port == int(s.address.Port()) {
			continue
		}
		if port > int(s.cfg.LastParityPort) {
			return nil, fmt.Errorf("ports %d to %d: %w", s.cfg.FirstParityPort, s.cfg.LastParityPort, unix.EADDRINUSE)
		}
		conn, _, err := sock.Open(sock.Config{
			Session: netip.AddrPortFrom(s.address.Addr(), uint16(port)), Iface: s.conn.Local().Addr(), Broadcast: s.cfg.Broadcast,
			ShareHost: s.cfg.ShareHost, BufferBytes: s.cfg.SocketBufferBytes,
		})
		if err == nil || !errors.Is(err, unix.EADDRINUSE) {
			return conn, err
		}
	}
}

// imageID names the version of a file; that of something else is never the
// same twice.
func imageID(image Image) uint64 {
	file, ok := image.(interface{ Identity() Identity })
	if !ok {
		return rand.Uint64()
	}
	return file.Identity().ImageID()
}

// ImageID is what the version is called in mode 2, and by HTTP.
func (id Identity) ImageID() uint64 {
	b := make([]byte, 0, 32)
	for _, v := range []uint64{id.Device, id.Inode, uint64(id.Bytes), uint64(id.MTimeNS)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	sum := sha256.Sum256(b)
	return binary.LittleEndian.Uint64(sum[:])
}

func (s *Server) parityAddress() netip.AddrPort {
	return netip.AddrPortFrom(s.address.Addr(), s.parity.Local().Port())
}

func (s *Server) closeConns() error {
	if s.parity == nil {
		return s.conn.Close()
	}
	return errors.Join(s.conn.Close(), s.parity.Close())
}

func (s *Server) wakeConns() {
	s.conn.Wake()
	if s.parity != nil {
		s.parity.Wake()
	}
}

// receiveParity feeds NAKs to the session until ctx is done. Errors end
// nothing: clients that are not heard here ask in the old way.
func (s *Server) receiveParity(ctx context.Context) {
	batch := sock.NewBatch(false)
	for ctx.Err() == nil {
		err := s.parity.ReadBatch(batch, time.Now().Add(readWaitMax))
		switch {
		case err == nil:
			s.takeParity(batch.Datagrams())
		case errors.Is(err, sock.ErrWoken), errors.Is(err, os.ErrDeadlineExceeded):
		default:
			s.log.Warn("NAKs cannot be received", "port", s.parity.Local().Port(), "err", err)
			pauseFor(ctx, parityErrorPause)
		}
	}
}

func (s *Server) takeParity(batch []sock.Datagram) {
	now := time.Now()
	wake := false
	s.lock.Lock()
	for _, d := range batch {
		if s.session.ReceiveParity(now, d.From, d.Data) {
			wake = true
		}
	}
	s.lock.Unlock()
	if wake {
		s.signal()
	}
}

// parityCache holds the first parity blocks of the chunks that were repaired
// last: later rounds of a chunk are short, and soon wanted.
type parityCache struct {
	code   fec.Coder
	data   []byte     // of a chunk that was not read ahead
	recent []parityOf // the latest used first
}

// parityOf is the parity blocks of a chunk from first on.
type parityOf struct {
	chunk, first int
	blocks       []byte
}

// parity returns the datagrams of a's parity blocks, back to back. They are
// valid until the next call.
func (f *framer) parity(ctx context.Context, a Action) ([]byte, error) {
	const n = wire.DatagramBytesMax
	for i := range a.Count {
		frame := f.frames[i*n : (i+1)*n]
		block, err := f.parityBlock(ctx, a.Chunk, (a.First+i)%fec.ParityBlocks, int(a.Trailer.Left)+1-i)
		if err != nil {
			return nil, err
		}
		wire.PutParityHeader(frame, uint32(a.Chunk), uint32(a.First+i), f.src)
		copy(frame[wire.BlockDataOffset:], block)
		f.trail(frame, a, i)
	}
	return f.frames[:a.Count*n], nil
}

// manifestBlocks returns the datagrams of a's blocks of the manifest.
func (f *framer) manifestBlocks(a Action) []byte {
	const n = wire.DatagramBytesMax
	for i := range a.Count {
		frame := f.frames[i*n : (i+1)*n]
		wire.PutManifestHeader(frame, uint32(a.First+i), f.src)
		data := frame[wire.BlockDataOffset:wire.BlockDatagramBytes]
		clear(data[copy(data, f.manifest[(a.First+i)*wire.BlockBytes:]):])
		f.trail(frame, a, i)
	}
	return f.frames[:a.Count*n]
}

// parityBlock returns a parity block of a chunk. If it has to be computed, so
// are the rest of its round and those that later rounds may want: they cost
// little more.
func (f *framer) parityBlock(ctx context.Context, chunk, which, left int) ([]byte, error) {
	c := &f.repairs
	if i := c.find(chunk, which); i >= 0 {
		p := c.recent[i]
		copy(c.recent[1:i+1], c.recent[:i])
		c.recent[0] = p
		at := (which - p.first) * wire.BlockBytes
		return p.blocks[at : at+wire.BlockBytes], nil
	}
	n := min(left+left/parityAheadDiv+parityAheadMin, fec.ParityBlocks-which)
	p := parityOf{chunk, which, c.room(chunk)[:n*wire.BlockBytes]}
	data, err := f.blocks(ctx, chunk, 0, f.geo.ChunkBlocks(chunk), &c.data)
	if err != nil {
		return nil, err
	}
	if err := c.code.Encode(data, which, p.blocks); err != nil {
		return nil, fmt.Errorf("coding chunk %d of %s: %w", chunk, f.image.Name(), err)
	}
	c.recent = slices.Insert(c.recent, 0, p)
	return p.blocks[:wire.BlockBytes], nil
}

// find returns which of recent has a parity block of a chunk, or -1.
func (c *parityCache) find(chunk, which int) int {
	return slices.IndexFunc(c.recent, func(p parityOf) bool {
		return p.chunk == chunk && which >= p.first && (which-p.first)*wire.BlockBytes < len(p.blocks)
	})
}

// room takes out what is held of the chunk, or the chunk that was not used for
// longest, and returns its place.
func (c *parityCache) room(chunk int) []byte {
	i := slices.IndexFunc(c.recent, func(p parityOf) bool { return p.chunk == chunk })
	if i < 0 && len(c.recent) < parityCacheChunks {
		return make([]byte, fec.ParityBytes)
	}
	if i < 0 {
		i = len(c.recent) - 1
	}
	blocks := c.recent[i].blocks
	c.recent = slices.Delete(c.recent, i, i+1)
	return blocks[:fec.ParityBytes]
}
