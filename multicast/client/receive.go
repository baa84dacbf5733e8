package client

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"hyzer/multicast/wire"
)

// Receive takes a datagram.
func (r *Reception) Receive(now time.Time, from netip.AddrPort, datagram []byte) {
	h, body, err := wire.Split(datagram)
	if err != nil || from.Port() != r.cfg.Address.Port() {
		return
	}
	told := h.Tells(from.Addr())
	switch {
	case h.Subtype == wire.SubBlock:
		if told && r.joined && h.Type == wire.Request && from.Addr() == r.server {
			r.block(now, body, datagram)
		}
	case h.Type == wire.Reply && (h.Subtype == wire.SubJoin || h.Subtype == wire.SubJoin2):
		if told && (!r.server.IsValid() || from.Addr() == r.server) {
			r.joinReply(now, from.Addr(), h.Subtype, body, datagram)
		}
	case h.Type == wire.Request && h.Subtype == wire.SubProgress:
		if told && from.Addr() == r.server {
			r.silentFrom = now
			r.beatRequest(now, body)
		}
	case h.Type == wire.Request && (told || from.Addr() == r.cfg.Address.Addr()) && !r.own(from.Addr(), h):
		r.overhear(now, h.Subtype, body, datagram)
	}
}

// own says whether a packet is ours, looped back.
func (r *Reception) own(from netip.Addr, h wire.Header) bool {
	return from == r.cfg.Self || from.Is4() && h.SrcIP == r.src
}

// joinReply takes the size of the file, or checks that it is still the same.
func (r *Reception) joinReply(now time.Time, from netip.Addr, sub wire.Subtype, body, datagram []byte) {
	if !r.answersUs(sub, datagram) {
		return
	}
	var size int64
	mine := false
	if sub == wire.SubJoin2 {
		m, err := wire.ParseJoin2(body)
		if err != nil && m.ClientID == r.cfg.ID {
			r.refuse(now, fmt.Errorf("%w: %v: %w", ErrWrongPeer, from, err))
		}
		if err != nil || !r.joined && m.ClientID != r.cfg.ID {
			return
		}
		size, mine = int64(m.FileBytes), m.ClientID == r.cfg.ID
	} else {
		m, err := wire.ParseJoin(body)
		if err != nil || m.Value > math.MaxInt32 || !r.joined && !r.sentV1 {
			return
		}
		size = int64(m.Value) * wire.BlockBytes
	}
	if !r.joined {
		r.server = from
		r.begin(now, size)
		r.granted(now, mine, datagram)
		return
	}
	r.silentFrom = now
	if !r.server.IsValid() {
		r.server = from // began without it
	}
	switch {
	case !r.sameSize(sub, size):
		r.disagree(now, fmt.Errorf("%w: %v at %v had %d bytes, now has %d; start the load again",
			ErrImageChanged, from, r.cfg.Address, r.geo.FileBytes(), size))
	case sub == wire.SubJoin2:
		r.granted(now, mine, datagram)
	case !r.m2.on:
		r.agree(now)
	}
}

// refuse ends a load that has not begun with a server that cannot be understood.
func (r *Reception) refuse(now time.Time, err error) {
	if r.joined {
		r.disagree(now, err)
		return
	}
	r.fail(err)
}

// sameSize compares in blocks where one of the two is only known in blocks.
func (r *Reception) sameSize(sub wire.Subtype, size int64) bool {
	blocks := (size + wire.BlockBytes - 1) / wire.BlockBytes
	if sub == wire.SubJoin || r.sentV1 {
		return blocks == r.geo.Blocks()
	}
	return size == r.geo.FileBytes()
}

// block takes a block of the file.
func (r *Reception) block(now time.Time, body, datagram []byte) {
	b, err := wire.ParseBlock(body)
	if err != nil || !r.geo.HasChunk(b.Chunk) {
		return
	}
	chunk, n := int(b.Chunk), int(b.Block)
	if n >= r.geo.ChunkBlocks(chunk) {
		return
	}
	if r.m2.on {
		if _, late, ok := r.genuine(now, &r.m2.dataOrder, datagram); !ok || late {
			return
		}
	} else if r.doubt.err != nil {
		return // it may be of another file
	}
	r.heard++
	r.noteBlock(now, chunk, n)
	if chunk != r.curIdx {
		r.turnTo(now, chunk)
	}
	if r.done.has(chunk) {
		r.stats.DupChunk++
		return
	}
	f := r.passing(now, chunk)
	if f == nil {
		r.stats.NoFreeChunks++
		return
	}
	if f.at = n; !f.inPass {
		f.inPass, f.dueAt = true, time.Time{} // its end will show what is missing
	}
	r.store(now, f, n, b.Data)
}

// passing returns the fill of the chunk whose blocks pass, opening one if
// there is room.
func (r *Reception) passing(now time.Time, chunk int) *fill {
	if r.cur == nil {
		r.cur = r.fills[chunk]
	}
	if r.cur == nil {
		if r.cur = r.open(chunk); r.cur != nil {
			r.seq++
			r.cur.expect(now, r.seq)
		}
	}
	return r.cur
}

// store puts a block in its place.
func (r *Reception) store(now time.Time, f *fill, n int, data []byte) {
	if !f.missing.Has(n) {
		r.stats.DupBlock++
		return
	}
	r.place(f, n, data)
	f.missing.Remove(n)
	f.left--
	r.stallFrom, r.stalls = now, 0
	switch {
	case f.restorable():
		r.complete(now, f)
	case n >= f.until:
		r.passOver(now, f)
	}
}

// place puts data into slot n. It writes whole blocks, past the end of the
// file too, as parity blocks need them.
func (r *Reception) place(f *fill, n int, data []byte) {
	if f.data == nil {
		f.data = r.buffer(r.geo.ChunkLen(f.chunk))
	}
	f.vacate(n)
	r.used++
	if r.cfg.blank == nil {
		copy(f.data[:cap(f.data)][n*wire.BlockBytes:], data)
	}
}

// noteBlock notes that the server is alive, and its usual pause between bursts
// within a pass, so that a slow server is not taken for a silent one.
func (r *Reception) noteBlock(now time.Time, chunk, n int) {
	if d := now.Sub(r.lastBlockAt); d > 0 && chunk == r.curIdx && n > r.curBlock {
		r.gap += (min(d, stallMax) - r.gap) / 8
		r.gapMax = max(min(d, stallMax), r.gapMax-r.gapMax/gapMaxMemory)
	}
	r.curBlock = n
	r.alive(now)
}

// alive notes that the server is there, and that there is no need to ask
// whether it still has the same file, unless that was just found necessary.
func (r *Reception) alive(now time.Time) {
	r.lastBlockAt, r.silentFrom = now, now
	if now.Sub(r.m2.rejoinedAt) >= rejoinAfter {
		r.rejoinAt = now.Add(rejoinAfter)
	}
}

// turnTo is called when blocks of another chunk begin to pass: the pass before
// is over, and so is whatever was asked for before this one.
func (r *Reception) turnTo(now time.Time, chunk int) {
	before := r.cur
	r.curIdx, r.cur = chunk, r.fills[chunk]
	if before != nil && before.inPass {
		r.passOver(now, before)
	}
	if r.cur == nil {
		return
	}
	for _, f := range r.inOrderOfRequest() { // each draws a random number
		if f != before && f.overtaken(r.cur, r.crowded(now)) {
			r.passOver(now, f)
		}
	}
}

// passOver decides when to ask for what the pass did not bring.
func (r *Reception) passOver(now time.Time, f *fill) {
	f.inPass = false
	if !f.dueAt.IsZero() {
		return
	}
	f.dueAt = now.Add(r.turn(now, f))
}

func (r *Reception) complete(now time.Time, f *fill) {
	delete(r.fills, f.chunk)
	if r.cur == f {
		r.cur = nil
	}
	r.done.add(f.chunk)
	r.busy++
	c := Chunk{Index: f.chunk, Data: f.data}
	if len(f.held) > 0 {
		c.missing, c.held = &f.missing, f.held
	}
	r.ready = append(r.ready, c)
	r.refill(now)
}

// open makes room for a chunk, or returns nil if all buffers are in use.
func (r *Reception) open(chunk int) *fill {
	if r.lent[chunk] || len(r.fills)+r.busy+len(r.lent) >= r.cfg.Buffers {
		return nil
	}
	f := &fill{chunk: chunk, missing: r.geo.Whole(chunk), left: r.geo.ChunkBlocks(chunk)}
	r.fills[chunk] = f
	r.taken.add(chunk)
	if !r.begun {
		r.begun = true
		if !r.cfg.InOrder {
			r.cursor = chunk // go on from where the others are
		}
	}
	return f
}

// buffer returns a buffer of n bytes.
func (r *Reception) buffer(n int) []byte {
	if r.cfg.blank != nil {
		return r.cfg.blank[:n]
	}
	if len(r.idle) == 0 {
		return make([]byte, n, wire.ChunkBytes)
	}
	b := r.idle[len(r.idle)-1]
	r.idle = r.idle[:len(r.idle)-1]
	return b[:n]
}

// overhear uses what other clients ask for: it is on its way to us too.
func (r *Reception) overhear(now time.Time, sub wire.Subtype, body, datagram []byte) {
	if r.cfg.Key != nil && !r.m2.control.Genuine(datagram) {
		return // the server may not heed it either
	}
	p := &r.partial
	switch sub {
	case wire.SubRequest:
		q, err := wire.ParseRequest(body)
		if err != nil {
			return
		}
		p.Chunk, p.Wanted = q.Chunk, wire.BlockMap{}
		p.Wanted.AddRange(int(q.Block), int(q.Count))
	case wire.SubPRequest:
		if wire.ParsePartialRequest(p, body) != nil {
			return
		}
	default:
		return
	}
	r.crowdAt = now
	if !r.joined || !r.geo.HasChunk(p.Chunk) || r.done.has(int(p.Chunk)) {
		return
	}
	r.expectHeard(now, int(p.Chunk), sub == wire.SubRequest)
}

// expectHeard notes that r.partial was asked for by another client. What we
// have outstanding ourselves keeps its place: the server merges the two.
func (r *Reception) expectHeard(now time.Time, chunk int, whole bool) {
	f := r.fills[chunk]
	switch {
	case f != nil && f.dueAt.IsZero():
		return
	case f == nil && whole && len(r.fills) < r.cfg.Window:
		f = r.open(chunk)
	}
	if f != nil && r.partial.Wanted.Covers(&f.missing) {
		r.seq++
		f.expect(now, r.seq)
	}
}
