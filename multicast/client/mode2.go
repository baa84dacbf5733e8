package client

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"hyzer/multicast/fec"
	"hyzer/multicast/wire"
)

// Times of mode 2.
const (
	// nakSlotMax spreads the NAKs of clients that lost blocks of one pass, so
	// that most hear one that asks for as many as they need; nakSpread is the
	// part of it that is left to chance.
	nakSlotMax = 4 * time.Millisecond
	nakSpread  = time.Millisecond / 2
	// nakWait is how long a NAK may go unanswered the first time; it doubles.
	// A slow server has nakGaps of its usual gaps more.
	nakWait = 30 * time.Millisecond
	nakGaps = 16
	// nakTriesMax is how many NAKs go unanswered before blocks are asked for by
	// number: the second port may be blocked on the way.
	nakTriesMax = 4
	// roundGrace is how late the end of a round may be; roundPace how much
	// slower than before its rest may come.
	roundGrace = 10 * time.Millisecond
	roundPace  = 2
	// refusedRejoin is how often blocks of another version make us ask the
	// server what it sends now.
	refusedRejoin = 200 * time.Millisecond
	// refusedDoublings bounds how often that doubles while the answer is that
	// nothing changed.
	refusedDoublings = 3
	// hushesMax is how often in a row another client's NAK puts ours off.
	hushesMax = 3
	// What was sent lateMin datagrams before others of its port is late; a jump
	// of seqJump is one of the server.
	lateMin = 1024
	seqJump = 1 << 20
)

// mode2 is the client's side of mode 2. It is off until a server grants it.
type mode2 struct {
	on         bool
	version    wire.Version
	port       uint16
	open       bool // the shell hears the port
	entered    bool // another run of the server, which we have not joined
	rejoinedAt time.Time
	refusals   int // rejoins in a row that changed nothing
	meter      lossMeter

	dataOrder, parityOrder order // of what comes to the two ports

	worst wire.Loss // of all clients, as the server says

	control *wire.ControlKey // nil: no key
	blocks  *wire.BlockKey   // of the version, nil: no key
	nonce   uint32           // of the next JOIN2
	clockUS uint32           // the server's, 0: not known
	clockAt time.Time        // when it was that
	book    book
}

// join2 is the JOIN2 request, with the offer if mode 2 is wanted.
func (r *Reception) join2(now time.Time) []byte {
	b := wire.NewJoin2Request(r.cfg.ID).Append(nil, wire.Request, r.src)
	if r.cfg.Mode2 {
		b = r.withOffer(now, b)
	}
	return b
}

// offering adds the offer to a request of a load in mode 2: a server that was
// started anew has to know.
func (r *Reception) offering(now time.Time, b []byte) []byte {
	if r.m2.on {
		b = r.withOffer(now, b)
	}
	return b
}

func (r *Reception) withOffer(now time.Time, b []byte) []byte {
	o := wire.NewOffer()
	o.Nonce, o.ClockUS = r.m2.nonce, r.serverClock(now)
	return r.m2.control.Sign(wire.AppendOffer(b, o))
}

// serverClock is the server's clock now, as far as that is known.
func (r *Reception) serverClock(now time.Time) uint32 {
	if r.m2.clockUS == 0 {
		return 0
	}
	return max(1, r.m2.clockUS+uint32(now.Sub(r.m2.clockAt).Microseconds()))
}

func (r *Reception) setClock(now time.Time, us uint32) { r.m2.clockUS, r.m2.clockAt = us, now }

// answersUs says whether a JOIN reply may count: with a key it must have a tag,
// and be the answer to the JOIN2 that we sent last.
func (r *Reception) answersUs(sub wire.Subtype, datagram []byte) bool {
	if r.cfg.Key == nil {
		return true
	}
	g, ok := wire.ParseGrant(datagram)
	if sub != wire.SubJoin2 || !ok || g.Nonce != r.m2.nonce || !r.m2.control.Genuine(datagram) {
		return false
	}
	r.m2.nonce = r.cfg.Rand.Uint32()
	return true
}

// granted takes what a JOIN2 reply says of mode 2. The first one decides
// whether this load uses it; no later one may be of another version.
func (r *Reception) granted(now time.Time, mine bool, datagram []byte) {
	g, ok := wire.ParseGrant(datagram)
	ok = ok && g.Code == wire.CodeCauchy && g.ParityBlocks == fec.ParityBlocks && g.Keyed == (r.cfg.Key != nil)
	switch {
	case !r.m2.on && !r.begun && mine && ok && r.cfg.Mode2:
		r.setClock(now, g.ClockUS)
		r.m2.on, r.m2.version, r.m2.port = true, g.Version, g.ParityPort
		r.m2.blocks = r.cfg.Key.Blocks(r.cfg.Address.Port(), g.ImageID)
		r.openBook(now, int(g.ManifestBytes))
	case !r.m2.on:
		if r.cfg.Key != nil {
			r.fail(fmt.Errorf("%w: %v at %v grants no mode 2 that this client knows", ErrWrongPeer, r.server, r.cfg.Address))
		}
		r.agree(now)
	case ok && g.ImageID == r.m2.version.ImageID:
		r.agree(now)
		r.setClock(now, g.ClockUS)
		r.m2.port = g.ParityPort
		if r.enter(g.Epoch); !mine && r.m2.entered {
			r.rejoinSoon(now) // this one does not know us yet
			break
		}
		if r.m2.entered {
			r.m2.refusals = 0
		}
		r.m2.entered = false
		r.rejoinAt = now.Add(rejoinAfter)
	case ok || mine:
		r.disagree(now, fmt.Errorf("%w: %v at %v sent image version %#x, now %#x; start the load again",
			ErrImageChanged, r.server, r.cfg.Address, r.m2.version.ImageID, g.ImageID))
	}
}

// enter goes on with another run of the server, which counts parity blocks and
// datagrams anew. What has been received stays, for the image is the same.
func (r *Reception) enter(epoch uint32) {
	if epoch == r.m2.version.Epoch {
		return
	}
	r.m2.entered = true
	r.m2.version.Epoch = epoch
	r.m2.meter = r.m2.meter.anew()
	r.m2.dataOrder, r.m2.parityOrder = order{}, order{}
	for _, f := range r.fills {
		f.base, f.naks = 0, 0
	}
}

// genuine says whether a datagram of data is of the version that is being
// loaded. If not, the server is asked soon what it sends now. What is late came
// so long after what was sent later that somebody may have sent it again: it
// tells nothing of what the server does now.
func (r *Reception) genuine(now time.Time, port *order, datagram []byte) (t wire.Trailer, late, ok bool) {
	t, ok = wire.ParseTrailer(datagram, r.m2.blocks)
	if !ok || t.ImageID != r.m2.version.ImageID || !r.current(t.Epoch) {
		r.rejoinSoon(now)
		return t, false, false
	}
	if r.enter(t.Epoch); r.m2.entered {
		r.rejoinSoon(now) // for its port
	}
	if port.late(t.Seq) {
		return t, true, true
	}
	r.agree(now)
	r.m2.meter.take(now, t, port == &r.m2.dataOrder)
	r.setClock(now, t.SentUS)
	r.m2.worst = t.Loss
	return t, false, true
}

// order is the order of what comes to one port, by the numbers of the trailers.
// The ports are read independently of each other.
type order struct {
	started bool
	top     uint32 // highest so far
}

// late says whether a datagram was sent long before others that have come.
func (o *order) late(seq uint32) bool {
	ahead := int32(seq - o.top)
	if !o.started || ahead > 0 || ahead < -seqJump {
		o.started, o.top = true, seq
	}
	return int32(seq-o.top) < -lateMin
}

// current says whether a block may be of the run of the server that is on. With
// a key, one of a run before it was kept and sent again by somebody else; an
// answer to a JOIN2 of ours may be of any run, for clocks are set back.
func (r *Reception) current(epoch uint32) bool {
	return r.m2.blocks == nil || int32(epoch-r.m2.version.Epoch) >= 0
}

func (r *Reception) rejoinSoon(now time.Time) {
	if now.Sub(r.m2.rejoinedAt) > crowdMemory {
		r.m2.refusals = 0
	}
	if now.Sub(r.m2.rejoinedAt) < refusedRejoin<<min(r.m2.refusals, refusedDoublings) {
		return
	}
	r.m2.rejoinedAt = now
	r.m2.refusals++
	r.rejoinAt = now.Add(r.jitter(now))
}

// ParityAddress returns where the datagrams for ReceiveParity come to, and
// whether there is such an address.
func (r *Reception) ParityAddress() (netip.AddrPort, bool) {
	return netip.AddrPortFrom(r.cfg.Address.Addr(), r.m2.port), r.m2.on
}

// SetParityOpen says whether that address is heard. If not, what is lost is
// asked for as without mode 2.
func (r *Reception) SetParityOpen(open bool) { r.m2.open = open }

// ReceiveParity takes a datagram that came to the parity address.
func (r *Reception) ReceiveParity(now time.Time, from netip.AddrPort, datagram []byte) {
	h, body, err := wire.SplitMode2(datagram)
	if err != nil || !r.m2.on || from.Port() != r.m2.port || !h.Tells(from.Addr()) {
		return
	}
	switch {
	case h.Subtype == wire.SubNak || h.Subtype == wire.SubWant || h.Subtype == wire.SubFlow:
		if r.own(from.Addr(), h) || r.cfg.Key != nil && !r.m2.control.Genuine(datagram) {
			return
		}
		if m, err := wire.ParseNak(body); err == nil && h.Subtype == wire.SubNak && m.Version == r.m2.version {
			r.overhearNak(now, &m)
		}
		if m, err := wire.ParseWant(body); err == nil && h.Subtype == wire.SubWant && m.Version == r.m2.version {
			r.overhearWant(now, &m)
		}
		if m, err := wire.ParseFlow(body); err == nil && h.Subtype == wire.SubFlow && m.Version == r.m2.version {
			r.overhearFlow(now, &m)
		}
	case from.Addr() != r.server:
	case h.Subtype == wire.SubManifest:
		r.bookBlock(now, body, datagram)
	case h.Subtype == wire.SubParity:
		p, err := wire.ParseParity(body)
		if err != nil || !r.geo.HasChunk(p.Chunk) {
			return
		}
		if t, late, ok := r.genuine(now, &r.m2.parityOrder, datagram); ok && !late {
			r.parity(now, p, t)
		}
	}
}

// parity takes a parity block.
func (r *Reception) parity(now time.Time, p wire.Parity, t wire.Trailer) {
	r.heard++
	r.alive(now)
	f := r.fills[int(p.Chunk)]
	if f == nil {
		return
	}
	f.base = max(f.base, p.Count+1+uint32(t.Left))
	which := uint16(p.Count % fec.ParityBlocks)
	if !f.holds(which) {
		slot := f.freeSlot()
		r.place(f, slot, p.Data)
		f.held = append(f.held, fec.Symbol{Parity: which, Slot: uint16(slot)})
		f.parities.AddRange(int(which), 1)
		f.occupied.AddRange(slot, 1)
		f.naks, f.hushes = 0, 0
		r.stallFrom, r.stalls = now, 0
	}
	switch {
	case f.restorable():
		r.complete(now, f)
	case f.inPass: // its end will show what is missing
	case t.Left == 0:
		f.dueAt = now.Add(r.turn(now, f))
	default:
		f.dueAt = now.Add(roundGrace + roundPace*time.Duration(t.Left)*r.m2.meter.gap + r.turn(now, f))
	}
}

// slot is how long to wait for a NAK of somebody else.
func (r *Reception) slot(now time.Time) time.Duration {
	if !r.crowded(now) {
		return 0
	}
	return time.Duration(r.cfg.Rand.Int64N(int64(nakSlotMax)))
}

// turn is how long to wait for a NAK of somebody else for f's chunk: the less,
// the more f lacks beside what clients usually do. So who lacks most asks first,
// and the others hear that they need not.
func (r *Reception) turn(now time.Time, f *fill) time.Duration {
	if !r.naks(now, f) {
		return r.jitter(now)
	}
	usual := 1.0
	if f.base == 0 {
		usual += cmp.Or(r.m2.worst, r.m2.meter.loss).Share() * wire.ChunkBlocks
	}
	place := max(0, 1-float64(f.need())/(2*usual))
	return time.Duration(place*float64(nakSlotMax-nakSpread)) + time.Duration(r.cfg.Rand.Int64N(int64(nakSpread)))
}

// naks says whether what f misses is to be asked for by number of blocks only.
// Parity saves what others would lose; to a client that hears no others it is
// only the work of restoring. Where nothing was lost, blocks are missing because
// they were not sent, or not yet: of a pass that is not over the server knows
// which ones will come.
func (r *Reception) naks(now time.Time, f *fill) bool {
	if !r.m2.on || !r.m2.open || !r.crowded(now) || !r.m2.meter.lossy() || f.inPass {
		return false
	}
	return f.data != nil && f.need() <= fec.ParityBlocks && f.naks < nakTriesMax
}

// nak asks for as many parity blocks as f needs.
func (r *Reception) nak(now time.Time, f *fill) {
	r.seq++
	f.expect(now, r.seq)
	f.naks++
	f.hushes = 0
	f.dueAt = r.answerBy(now, f)
	r.stats.Requests++
	r.stats.LostBlocks += uint32(f.need())
	m := wire.Nak{
		Version: r.m2.version, Chunk: uint32(f.chunk), Need: uint16(f.need()), Loss: r.m2.meter.loss, Base: f.base, ClientID: r.cfg.ID,
	}
	m.EchoUS, m.HeldUS = r.echo(now)
	r.sendParity(m.Append(nil, r.src))
}

// echo is the time of the server's that we heard last, and how long ago.
func (r *Reception) echo(now time.Time) (us, heldUS uint32) {
	if r.m2.clockUS == 0 {
		return 0, 0
	}
	return r.m2.clockUS, uint32(now.Sub(r.m2.clockAt).Microseconds())
}

func (r *Reception) sendParity(b []byte) {
	r.sends = append(r.sends, Outgoing{Datagram: r.m2.control.Sign(b), ToParity: true})
}

// answerBy is when to ask again if nothing comes.
func (r *Reception) answerBy(now time.Time, f *fill) time.Time {
	wait := nakWait<<max(f.naks-1, 0) + nakGaps*r.gap
	return now.Add(wait + r.slot(now))
}

// overhearNak is silent if another client asks for as much.
func (r *Reception) overhearNak(now time.Time, m *wire.Nak) {
	r.crowdAt = now
	f := r.fills[int(m.Chunk)]
	if f == nil || f.dueAt.IsZero() || m.Base+uint32(m.Need) < f.base+uint32(f.need()) || f.hushes >= hushesMax {
		return // it has other losses, or only wants us to be silent
	}
	f.hushes++
	f.dueAt = later(f.dueAt, r.answerBy(now, f))
}
