package client

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"hyzer/multicast/wire"
)

// Tick does what is due. It is called at Due, and after every batch of
// datagrams.
func (r *Reception) Tick(now time.Time) {
	switch {
	case r.err != nil:
	case !r.joined:
		r.join(now)
	case !r.Received():
		r.receiving(now)
	}
	if r.joined && r.err == nil {
		r.bookTick(now)
		r.beatTick(now)
	}
}

// Due returns when Tick has something to do, at most tickMax from now.
func (r *Reception) Due(now time.Time) time.Time {
	if !r.joined {
		return r.joinAt
	}
	due := now.Add(tickMax)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(due) {
			due = t
		}
	}
	sooner(r.beat.dueAt)
	sooner(r.m2.book.dueAt)
	if r.Received() {
		return due
	}
	sooner(r.refillAt)
	sooner(r.rejoinAt)
	sooner(r.doubt.askAt)
	if len(r.fills) > 0 {
		sooner(r.stallAt())
	}
	for _, f := range r.fills {
		sooner(f.dueAt)
	}
	return due
}

// join sends JOINs until one is answered, or too long was not.
func (r *Reception) join(now time.Time) {
	if now.Before(r.joinAt) {
		return
	}
	if r.cfg.JoinTimeout > 0 && now.Sub(r.startedAt) >= r.cfg.JoinTimeout {
		r.fail(fmt.Errorf("%w at %v: %d JOINs in %v; is it running, does the network carry the group to %v?",
			ErrNoServer, r.cfg.Address, r.joins, now.Sub(r.startedAt).Round(time.Second), r.cfg.Self))
		return
	}
	if !r.cfg.Raw && r.cfg.Key == nil && r.cfg.Address.Addr().Is4() && r.joins >= joinsBeforeV1 && r.joins%2 == 1 {
		r.sentV1 = true
		r.send(wire.Join{Value: r.cfg.ID}.Append(nil, wire.Request, r.src))
	} else {
		r.send(r.join2(now))
	}
	r.joinAt = now.Add(min(joinRetryFirst<<min(r.joins, 8), joinRetryMax))
	r.joins++
	r.stats.JoinAttempts++
}

func (r *Reception) receiving(now time.Time) {
	if len(r.fills) == 0 {
		r.silentFrom = now // nothing is asked for: no silence
	}
	if r.cfg.IdleTimeout > 0 && now.Sub(r.silentFrom) >= r.cfg.IdleTimeout {
		r.fail(fmt.Errorf("%w: nothing from %v at %v for %v, %d of %d chunks received",
			ErrServerSilent, r.server, r.cfg.Address, r.cfg.IdleTimeout, r.done.count, r.done.size))
		return
	}
	r.repair(now)
	if len(r.fills) > 0 && !now.Before(r.stallAt()) {
		r.stalled(now)
	}
	r.refill(now)
	r.rejoin(now)
	r.doubtTick(now)
}

// repair asks for what passes did not bring.
func (r *Reception) repair(now time.Time) {
	if !r.asks(now) { // as most of the time
		return
	}
	for _, f := range r.inOrderOfRequest() {
		if f.due(now) {
			r.ask(now, f)
		}
	}
}

// asks says whether something is to be asked for now.
func (r *Reception) asks(now time.Time) bool {
	for _, f := range r.fills {
		if f.due(now) {
			return true
		}
	}
	return false
}

// holdAsks puts that off for a moment, but not for ever.
func (r *Reception) holdAsks(now time.Time) {
	for _, f := range r.fills {
		if f.due(now) && f.putOffs < askHoldsMax {
			f.putOffs++
			f.dueAt = now.Add(socketPause)
		}
	}
}

// inOrderOfRequest returns the fills, oldest request first, so that the order
// on the wire does not depend on a map.
func (r *Reception) inOrderOfRequest() []*fill {
	fs := make([]*fill, 0, len(r.fills))
	for _, f := range r.fills {
		fs = append(fs, f)
	}
	slices.SortFunc(fs, func(a, b *fill) int { return cmp.Compare(a.seq, b.seq) })
	return fs
}

// ask sends a REQUEST for a chunk the first time, later a PREQUEST for what is
// missing of it, or in mode 2 a NAK.
func (r *Reception) ask(now time.Time, f *fill) {
	if r.naks(now, f) {
		r.nak(now, f)
		return
	}
	r.seq++
	f.expect(now, r.seq)
	r.stats.Requests++
	all := r.geo.ChunkBlocks(f.chunk)
	if !f.asked && f.left == all {
		f.asked = true
		r.send(r.offering(now, wire.BlockRequest{Chunk: uint32(f.chunk), Count: uint32(all)}.Append(nil, r.src)))
		return
	}
	p := wire.PartialRequest{Chunk: uint32(f.chunk), Wanted: f.missing}
	if f.asked {
		p.Retries = 1
		r.stats.ReRequests++
		if f.left == all {
			r.stats.FullReRequests++
		}
	}
	f.asked = true
	r.stats.PRequests++
	r.stats.LostBlocks += uint32(f.left)
	r.send(r.offering(now, p.Append(nil, r.src)))
}

// stallAt returns when the present silence becomes a stall. While datagrams lie
// in our own socket, what we miss may be among them.
func (r *Reception) stallAt() time.Time {
	at := r.silenceAt()
	if r.intake.socket > 0 {
		return later(at, r.intake.at.Add(socketPause))
	}
	return at
}

// silenceAt returns when a stall comes as far as the server is concerned. The
// first comes after a silence of the server, or sooner or later if what it
// sends is of no use to us.
func (r *Reception) silenceAt() time.Time {
	if r.stalls > 0 {
		return r.stallFrom.Add(min(stallNext+time.Duration(r.stalls-1)*stallStep, stallMax) - stallFirst)
	}
	quiet := min(max(stallFirst, gapsPerStall*r.gap, gapMaxPerStall*r.gapMax), stallMax)
	if r.curIdx < 0 {
		quiet = stallGather // the server may wait for more clients
	}
	silent := later(r.lastBlockAt, r.stallFrom).Add(quiet)
	useless := r.stallFrom.Add(max(stallNext, quiet))
	if useless.Before(silent) {
		return useless
	}
	return silent
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// stalled asks again for everything outstanding. At the first stall a pass
// that is in its middle is left alone: the server may just be reading. Among
// other clients, of the chunks that nothing came of only the oldest are asked for,
// more of them at each stall in a row: most likely the server is only slow.
func (r *Reception) stalled(now time.Time) {
	r.stats.RecvIdles++
	left := r.cfg.Window
	if r.crowded(now) {
		left = 1 << min(r.stalls, 8)
	}
	for _, f := range r.inOrderOfRequest() {
		if r.stalls == 0 && f.inPass && f == r.cur && !f.nearEnd() {
			continue
		}
		if f.naks > 0 && now.Before(f.dueAt) {
			continue // has its own time
		}
		if f.data == nil {
			if left == 0 {
				continue
			}
			left--
		}
		r.ask(now, f)
	}
	r.stalls++
	r.stallFrom = now
}

// nearEnd says whether the pass of f has nearly come to its end.
func (f *fill) nearEnd() bool { return f.at >= f.until-tailBlocks }

// refill keeps the window of outstanding chunks full. Among other clients it
// waits a moment first, for they see the same chunk complete.
func (r *Reception) refill(now time.Time) {
	if !r.joined || len(r.fills) >= r.cfg.Window || r.taken.count == r.taken.size {
		r.refillAt = time.Time{}
		return
	}
	if r.refillAt.IsZero() && r.crowded(now) {
		if len(r.fills) > r.cfg.Window/2 {
			return
		}
		r.refillAt = now.Add(r.jitter(now))
	}
	if now.Before(r.refillAt) {
		return
	}
	r.refillAt = time.Time{}
	if len(r.fills) == 0 { // the silence until now was ours
		r.stallFrom, r.silentFrom, r.stalls = now, now, 0
	}
	for len(r.fills) < r.cfg.Window {
		chunk := r.taken.absent(r.cursor)
		if chunk < 0 {
			return
		}
		f := r.open(chunk)
		if f == nil {
			return
		}
		r.cursor = chunk + 1
		r.ask(now, f)
	}
}

// rejoin asks a silent server whether it still has the same file.
func (r *Reception) rejoin(now time.Time) {
	if now.Before(r.rejoinAt) {
		return
	}
	r.rejoinAt = now.Add(rejoinAfter)
	if len(r.fills) == 0 && r.m2.book.dueAt.IsZero() {
		return // neither blocks nor the manifest are missing
	}
	r.stats.JoinAttempts++
	r.send(r.join2(now))
}
