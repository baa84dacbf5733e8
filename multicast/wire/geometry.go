package wire

import (
	"errors"
	"fmt"
	"math"
)

// FileBytesMax is the largest file a session can carry here: 8 TiB. The wire
// has room for more; the bound keeps per-chunk tables small.
const FileBytesMax int64 = 1 << 43

// ErrFileSize is wrapped by NewGeometry's errors.
var ErrFileSize = errors.New("file size cannot be distributed")

// Geometry is how a file is cut into chunks and blocks (A2).
type Geometry struct {
	fileBytes int64
}

// NewGeometry returns the geometry of a file of that many bytes, or an error
// that wraps ErrFileSize if it is larger than FileBytesMax. An empty one has no
// chunks.
func NewGeometry(fileBytes int64) (Geometry, error) {
	if fileBytes < 0 || fileBytes > FileBytesMax {
		return Geometry{}, fmt.Errorf("%w: %d bytes, want 0 to %d", ErrFileSize, fileBytes, FileBytesMax)
	}
	return Geometry{fileBytes}, nil
}

// FileBytes returns the size of the file.
func (g Geometry) FileBytes() int64 { return g.fileBytes }

// Blocks returns the number of blocks, the last of them perhaps short.
func (g Geometry) Blocks() int64 { return (g.fileBytes + BlockBytes - 1) / BlockBytes }

// FitsJoin says whether the reply to a JOIN has room for the number of blocks,
// of which it has 31 bits (A4): up to 2 TiB. That to a JOIN2 always has.
func (g Geometry) FitsJoin() bool { return g.Blocks() <= math.MaxInt32 }

// Chunks returns the number of chunks, the last of them perhaps short.
func (g Geometry) Chunks() int { return int((g.fileBytes + ChunkBytes - 1) / ChunkBytes) }

// HasChunk says whether the file has that chunk.
func (g Geometry) HasChunk(chunk uint32) bool { return int64(chunk) < int64(g.Chunks()) }

// ChunkOffset returns where the chunk starts in the file.
func (g Geometry) ChunkOffset(chunk int) int64 { return int64(chunk) * ChunkBytes }

// ChunkLen returns how many bytes of the file are in the chunk.
func (g Geometry) ChunkLen(chunk int) int {
	return int(min(g.fileBytes-g.ChunkOffset(chunk), ChunkBytes))
}

// ChunkBlocks returns how many blocks the chunk has.
func (g Geometry) ChunkBlocks(chunk int) int {
	return (g.ChunkLen(chunk) + BlockBytes - 1) / BlockBytes
}

// Whole returns the set of all blocks of the chunk.
func (g Geometry) Whole(chunk int) BlockMap {
	var m BlockMap
	m.AddRange(0, g.ChunkBlocks(chunk))
	return m
}

// Clip removes from m the blocks that the chunk does not have.
func (g Geometry) Clip(chunk int, m *BlockMap) {
	if n := g.ChunkBlocks(chunk); n < ChunkBlocks {
		m.RemoveRange(n, ChunkBlocks-n)
	}
}
