package wire

import "encoding/binary"

// Join is the body of JOIN: in a request the client's id, in a reply the
// number of blocks of the file. The reply does not say whom it answers (A4).
type Join struct {
	// Value is the client id (request) or the block count (reply).
	Value uint32
}

// ParseJoin decodes the body of a JOIN.
func ParseJoin(body []byte) (Join, error) {
	if len(body) < joinBodyBytes {
		return Join{}, ErrShort
	}
	return Join{Value: u32(body, 0)}, nil
}

// Append adds the packet, of type t from src, to dst.
func (m Join) Append(dst []byte, t Type, src [4]byte) []byte {
	return le32(appendHeader(dst, t, SubJoin, joinBodyBytes, src), m.Value)
}

// Join2 is the body of JOIN2. In a request only ClientID, ChunkBlocks and
// BlockBytes mean anything; C clients leave garbage in the others (A4).
type Join2 struct {
	ClientID    uint32
	BlockCount  uint32
	ChunkBlocks uint32
	BlockBytes  uint32
	FileBytes   uint64
}

// NewJoin2Request returns a JOIN2 that asks for the size of the file.
func NewJoin2Request(clientID uint32) Join2 {
	return Join2{ClientID: clientID, ChunkBlocks: ChunkBlocks, BlockBytes: BlockBytes}
}

// NewJoin2Reply returns the answer to client clientID for a file of that size.
func NewJoin2Reply(clientID uint32, fileBytes int64) Join2 {
	m := NewJoin2Request(clientID)
	m.FileBytes = uint64(fileBytes)
	return m
}

// ParseJoin2 decodes the body of a JOIN2. It returns ErrGeometry, with the
// decoded body, for a peer that was built for jumbo frames.
func ParseJoin2(body []byte) (Join2, error) {
	if len(body) < join2BodyBytes {
		return Join2{}, ErrShort
	}
	m := Join2{
		ClientID:    u32(body, 0),
		BlockCount:  u32(body, 4),
		ChunkBlocks: u32(body, 8),
		BlockBytes:  u32(body, 12),
		FileBytes:   binary.LittleEndian.Uint64(body[16:]),
	}
	if m.ChunkBlocks != ChunkBlocks || m.BlockBytes != BlockBytes {
		return m, ErrGeometry
	}
	return m, nil
}

// Append adds the packet, of type t from src, to dst.
func (m Join2) Append(dst []byte, t Type, src [4]byte) []byte {
	dst = appendHeader(dst, t, SubJoin2, join2BodyBytes, src)
	dst = le32(dst, m.ClientID)
	dst = le32(dst, m.BlockCount)
	dst = le32(dst, m.ChunkBlocks)
	dst = le32(dst, m.BlockBytes)
	return binary.LittleEndian.AppendUint64(dst, m.FileBytes)
}

// Block is the body of BLOCK: 1024 bytes of the file. The last block of the
// file is padded with zeros (A4).
type Block struct {
	Chunk uint32
	Block uint32 // 0..1023
	Data  []byte // BlockBytes long
}

// ParseBlock decodes the body of a BLOCK. Data aliases body.
func ParseBlock(body []byte) (Block, error) {
	if len(body) < blockBodyBytes {
		return Block{}, ErrShort
	}
	m := Block{Chunk: u32(body, 0), Block: u32(body, 4), Data: body[8:blockBodyBytes:blockBodyBytes]}
	if m.Block >= ChunkBlocks {
		return Block{}, ErrRange
	}
	return m, nil
}

// Append adds the packet from src to dst. Data may be shorter than a block:
// the rest is zeros.
func (m Block) Append(dst []byte, src [4]byte) []byte {
	dst = appendHeader(dst, Request, SubBlock, blockBodyBytes, src)
	dst = le32(dst, m.Chunk)
	dst = le32(dst, m.Block)
	var pad [BlockBytes]byte
	n := min(len(m.Data), BlockBytes)
	dst = append(dst, m.Data[:n]...)
	return append(dst, pad[n:]...)
}

// PutBlockHeader writes everything of a BLOCK but its data over the first 24
// bytes of frame, which is BlockDatagramBytes long. The server frames whole
// batches with it, in place.
func PutBlockHeader(frame []byte, chunk, block uint32, src [4]byte) {
	le := binary.LittleEndian
	le.PutUint32(frame[0:], uint32(Request))
	le.PutUint32(frame[4:], uint32(SubBlock))
	le.PutUint32(frame[8:], blockBodyBytes)
	copy(frame[12:16], src[:])
	le.PutUint32(frame[16:], chunk)
	le.PutUint32(frame[20:], block)
}

// BlockDataOffset is where the data of a BLOCK starts in its datagram.
const BlockDataOffset = HeaderBytes + 8

// BlockRequest is the body of REQUEST: Count blocks of a chunk from Block on.
type BlockRequest struct {
	Chunk, Block, Count uint32
}

// ParseRequest decodes the body of a REQUEST. A range that leaves its chunk,
// or is empty, is ErrRange.
func ParseRequest(body []byte) (BlockRequest, error) {
	if len(body) < requestBodyBytes {
		return BlockRequest{}, ErrShort
	}
	m := BlockRequest{Chunk: u32(body, 0), Block: u32(body, 4), Count: u32(body, 8)}
	if m.Block >= ChunkBlocks || m.Count == 0 || m.Count > ChunkBlocks-m.Block {
		return BlockRequest{}, ErrRange
	}
	return m, nil
}

// Append adds the packet from src to dst.
func (m BlockRequest) Append(dst []byte, src [4]byte) []byte {
	dst = appendHeader(dst, Request, SubRequest, requestBodyBytes, src)
	dst = le32(dst, m.Chunk)
	dst = le32(dst, m.Block)
	return le32(dst, m.Count)
}

// PartialRequest is the body of PREQUEST: the blocks of a chunk set in Wanted.
type PartialRequest struct {
	Chunk   uint32
	Retries uint32 // not 0: this client has asked for this chunk before
	Wanted  BlockMap
}

// ParsePartialRequest decodes the body of a PREQUEST into m, so that the
// bitmap is copied only once.
func ParsePartialRequest(m *PartialRequest, body []byte) error {
	if len(body) < prequestBodyBytes {
		return ErrShort
	}
	m.Chunk = u32(body, 0)
	m.Retries = u32(body, 4)
	m.Wanted.SetBytes((*[BitmapBytes]byte)(body[8:prequestBodyBytes]))
	return nil
}

// Append adds the packet from src to dst.
func (m *PartialRequest) Append(dst []byte, src [4]byte) []byte {
	dst = appendHeader(dst, Request, SubPRequest, prequestBodyBytes, src)
	dst = le32(dst, m.Chunk)
	dst = le32(dst, m.Retries)
	return m.Wanted.AppendBytes(dst)
}

// Leave is the body of LEAVE.
type Leave struct {
	ClientID uint32
	ElapsedS int32 // since the client started, its start delay included
}

// ParseLeave decodes the body of a LEAVE.
func ParseLeave(body []byte) (Leave, error) {
	if len(body) < leaveBodyBytes {
		return Leave{}, ErrShort
	}
	return Leave{ClientID: u32(body, 0), ElapsedS: int32(u32(body, 4))}, nil
}

// Append adds the packet from src to dst.
func (m Leave) Append(dst []byte, src [4]byte) []byte {
	dst = appendHeader(dst, Request, SubLeave, leaveBodyBytes, src)
	return le32(le32(dst, m.ClientID), uint32(m.ElapsedS))
}

// Leave2 is the body of LEAVE2: a LEAVE with the client's statistics.
type Leave2 struct {
	Leave
	Stats Stats
}

// ParseLeave2 decodes the body of a LEAVE2.
func ParseLeave2(body []byte) (Leave2, error) {
	if len(body) < leave2BodyBytes {
		return Leave2{}, ErrShort
	}
	l, err := ParseLeave(body)
	return Leave2{Leave: l, Stats: parseStats(body[leaveBodyBytes:])}, err
}

// Append adds the packet from src to dst.
func (m *Leave2) Append(dst []byte, src [4]byte) []byte {
	dst = appendHeader(dst, Request, SubLeave2, leave2BodyBytes, src)
	dst = le32(le32(dst, m.ClientID), uint32(m.ElapsedS))
	return m.Stats.append(dst)
}
