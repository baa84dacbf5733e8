package server

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"hyzer/multicast/wire"
)

// The clock of the C client (A6).
const (
	oldTick        = 30 * time.Millisecond // receive timeout
	oldIdleTicks   = 3
	oldBackOffMax  = 33
	oldRedo        = time.Second // -I
	oldReadAhead   = 2           // -R
	oldInProgress  = 8
	oldJoinRetry   = 500 * time.Millisecond
	oldBuffersMost = 64 // -C
)

// oldClient is the C client as its specification has it (A6), as far as timing
// and requests go. What it receives it has written at once.
type oldClient struct {
	addr     netip.Addr
	id       uint32
	geo      wire.Geometry
	order    []uint32 // of requests
	chunks   []oldChunk
	filling  []uint32 // that have a buffer, in the order they got it
	left     int      // chunks that are not done
	joined   bool
	idle     int // counts down to the next request
	backOff  int
	heardAt  time.Time // when the receive timeout began
	joinedAt time.Time // of the last JOIN sent
	sends    [][]byte
}

type oldChunk struct {
	missing          wire.BlockMap
	lacks            int // blocks
	stamp            time.Time
	ours, seen, done bool
}

func newOldClient(n int, geo wire.Geometry, rng *rand.Rand) *oldClient {
	c := &oldClient{
		addr: netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), id: uint32(n) + 1, geo: geo,
		chunks: make([]oldChunk, geo.Chunks()), left: geo.Chunks(), idle: 1,
	}
	for i := range c.chunks {
		c.chunks[i].lacks = geo.ChunkBlocks(i)
		c.chunks[i].missing.AddRange(0, c.chunks[i].lacks)
	}
	for _, i := range rng.Perm(geo.Chunks()) {
		c.order = append(c.order, uint32(i))
	}
	return c
}

// due is when the client does something by itself.
func (c *oldClient) due() time.Time {
	if !c.joined {
		return c.joinedAt.Add(oldJoinRetry)
	}
	return c.heardAt.Add(oldTick)
}

// timeout is called at due.
func (c *oldClient) timeout(now time.Time) {
	c.heardAt = now
	if !c.joined {
		c.joinedAt = now
		c.sends = append(c.sends, wire.NewJoin2Request(c.id).Append(nil, wire.Request, c.addr.As4()))
		return
	}
	c.tick(now)
}

// tick is a receive timeout, or something that is no packet.
func (c *oldClient) tick(now time.Time) {
	if c.idle--; c.idle > 0 {
		return
	}
	c.request(now, true)
	c.idle = oldIdleTicks + c.backOff
	c.backOff = min(c.backOff+1, oldBackOffMax)
}

// datagram takes what is not a block.
func (c *oldClient) datagram(now time.Time, from netip.Addr, b []byte) {
	c.heardAt = now
	h, body, err := wire.Split(b)
	switch {
	case !c.joined:
		if err == nil && h.Type == wire.Reply && h.Subtype == wire.SubJoin2 {
			m, err := wire.ParseJoin2(body)
			c.joined = err == nil && m.ClientID == c.id
		}
	case err != nil || !h.Tells(from):
		c.tick(now)
	case h.Subtype == wire.SubRequest:
		if r, err := wire.ParseRequest(body); err == nil && !c.chunks[r.Chunk].done {
			c.chunks[r.Chunk].stamp, c.idle = now, oldIdleTicks
		}
	case h.Subtype == wire.SubPRequest:
		var p wire.PartialRequest
		if wire.ParsePartialRequest(&p, body) == nil {
			if k := &c.chunks[p.Chunk]; !k.done && k.missing.Overlaps(&p.Wanted) {
				k.stamp = now
			}
		}
	}
}

// block takes a block.
func (c *oldClient) block(now time.Time, chunk uint32, n int) {
	c.heardAt = now
	if !c.joined {
		return
	}
	c.backOff = 0
	k := &c.chunks[chunk]
	if k.done || !k.missing.Has(n) {
		return
	}
	if !k.seen {
		if len(c.filling) >= oldBuffersMost {
			return
		}
		k.seen = true
		c.filling = append(c.filling, chunk)
	}
	k.missing.Remove(n)
	k.stamp, c.idle = now, oldIdleTicks
	if k.lacks--; k.lacks > 0 {
		return
	}
	k.done = true
	c.left--
	for i, f := range c.filling {
		if f == chunk {
			c.filling = append(c.filling[:i], c.filling[i+1:]...)
			break
		}
	}
	c.request(now, false)
}

// request is RequestChunk.
func (c *oldClient) request(now time.Time, timedOut bool) {
	for _, chunk := range c.filling {
		if k := &c.chunks[chunk]; timedOut || now.Sub(k.stamp) > oldRedo {
			c.again(now, chunk, k)
		}
	}
	if len(c.filling) >= oldInProgress {
		return
	}
	ahead := min(oldReadAhead, oldBuffersMost-len(c.filling))
	for _, chunk := range c.order {
		k := &c.chunks[chunk]
		if k.seen || k.done {
			continue
		}
		if ahead--; ahead < 0 {
			return
		}
		switch {
		case !timedOut && now.Sub(k.stamp) <= oldRedo:
		case k.ours:
			c.again(now, chunk, k)
		default:
			k.stamp, k.ours = now, true
			r := wire.BlockRequest{Chunk: chunk, Count: uint32(c.geo.ChunkBlocks(int(chunk)))}
			c.sends = append(c.sends, r.Append(nil, c.addr.As4()))
		}
	}
}

func (c *oldClient) again(now time.Time, chunk uint32, k *oldChunk) {
	p := wire.PartialRequest{Chunk: chunk, Wanted: k.missing}
	if k.ours {
		p.Retries = 1
	}
	k.stamp, k.ours = now, true
	c.sends = append(c.sends, p.Append(nil, c.addr.As4()))
}
