package fec

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/reedsolomon"

	"hyzer/multicast/wire"
)

// ParityBlocks is how many parity blocks a chunk has. A client that lacks more
// of a chunk asks for its blocks by number.
const ParityBlocks = 256

// ParityBytes is the length of all parity blocks of a chunk.
const ParityBytes = ParityBlocks * wire.BlockBytes

const codeBlocks = wire.ChunkBlocks + ParityBlocks

// ErrTooFew is returned by Restore when less is held than is missing.
var ErrTooFew = errors.New("too few parity blocks to restore the chunk")

// Symbol says that parity block Parity lies where block Slot of the chunk
// belongs.
type Symbol struct {
	Parity, Slot uint16
}

// Code encodes and restores chunks. It may be used by several goroutines. The
// zero value is ready; its first use takes up to 0.2 s, unless Warm was called.
type Code struct {
	once sync.Once
	enc  reedsolomon.Encoder
	err  error
	zero [wire.BlockBytes]byte
}

// Warm builds the tables, so that the first use need not. An error comes back
// with that.
func (c *Code) Warm() { _ = c.open() }

func (c *Code) open() error {
	c.once.Do(func() {
		c.enc, c.err = reedsolomon.New(wire.ChunkBlocks, ParityBlocks, reedsolomon.WithLeopardGF16(true), reedsolomon.WithMaxGoroutines(1))
	})
	return c.err
}

// Encode computes the parity blocks of a chunk of 1 to ChunkBytes bytes into
// parity, which is ParityBytes long. Bytes past the end of the chunk up to the
// next whole block count as zeros.
func (c *Code) Encode(chunk, parity []byte) error {
	if err := c.open(); err != nil {
		return err
	}
	if len(chunk) > wire.ChunkBytes || len(parity) != ParityBytes {
		return fmt.Errorf("encoding a chunk of %d bytes into %d: want at most %d into %d", len(chunk), len(parity), wire.ChunkBytes, ParityBytes)
	}
	blocks := make([][]byte, codeBlocks)
	for i := range wire.ChunkBlocks {
		blocks[i] = c.block(chunk, i)
	}
	for i := range ParityBlocks {
		blocks[wire.ChunkBlocks+i] = parity[i*wire.BlockBytes : (i+1)*wire.BlockBytes]
	}
	return c.enc.Encode(blocks)
}

// block returns block i, padded with zeros.
func (c *Code) block(chunk []byte, i int) []byte {
	at := i * wire.BlockBytes
	switch {
	case at >= len(chunk):
		return c.zero[:]
	case at+wire.BlockBytes > len(chunk):
		last := make([]byte, wire.BlockBytes)
		copy(last, chunk[at:])
		return last
	}
	return chunk[at : at+wire.BlockBytes]
}

// Restore fills the missing blocks of a chunk from the parity blocks that lie
// in their slots. chunk is whole blocks long.
func (c *Code) Restore(chunk []byte, missing *wire.BlockMap, held []Symbol) error {
	if missing.Count() > len(held) {
		return ErrTooFew
	}
	if err := c.open(); err != nil {
		return err
	}
	blocks := make([][]byte, codeBlocks)
	for i := range wire.ChunkBlocks {
		if !missing.Has(i) {
			blocks[i] = c.block(chunk, i)
		}
	}
	for _, s := range held {
		at := int(s.Slot) * wire.BlockBytes
		if s.Parity >= ParityBlocks || at+wire.BlockBytes > len(chunk) {
			return fmt.Errorf("parity block %d in slot %d of a chunk of %d bytes", s.Parity, s.Slot, len(chunk))
		}
		blocks[wire.ChunkBlocks+int(s.Parity)] = chunk[at : at+wire.BlockBytes]
	}
	if err := c.enc.ReconstructData(blocks); err != nil {
		return err
	}
	for i := range len(chunk) / wire.BlockBytes {
		if missing.Has(i) {
			copy(chunk[i*wire.BlockBytes:], blocks[i])
		}
	}
	return nil
}
