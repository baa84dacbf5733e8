package client

import (
	"time"

	"hyzer/multicast/wire"
)

// Times of the exchange of the manifest.
const (
	// bookWait is how long a WANT may go unanswered the first time; it doubles
	// bookDoublings times.
	bookWait      = 50 * time.Millisecond
	bookDoublings = 4
	// bookLostMax is how many WANTs go unanswered while blocks of the image
	// come, before the load gives the manifest up: the port may be blocked.
	bookLostMax = 12
)

// book is the manifest on its way.
type book struct {
	data  []byte
	got   chunkSet // of blocks
	dueAt time.Time
	tries int // WANTs in a row that brought nothing
	lost  int // of them while the server was there
	asked time.Time
}

// openBook begins to ask for a manifest of that length, if there is one.
func (r *Reception) openBook(now time.Time, bytes int) {
	if !r.cfg.Manifest || bytes == 0 || bytes > wire.ManifestBytesMax {
		return
	}
	r.m2.book = book{data: make([]byte, bytes), got: newChunkSet((bytes + wire.BlockBytes - 1) / wire.BlockBytes), dueAt: now.Add(r.slot(now))}
}

// Manifest returns the bytes of the manifest when they are all there. Coming
// says that they may still come. Both are known when Joined says so.
func (r *Reception) Manifest() (bytes []byte, coming bool) {
	b := &r.m2.book
	if len(b.data) == 0 || b.got.count < b.got.size {
		return nil, len(b.data) > 0 && b.lost < bookLostMax
	}
	return b.data, false
}

// RejectManifest asks for the manifest again: it was found damaged.
func (r *Reception) RejectManifest(now time.Time) { r.openBook(now, len(r.m2.book.data)) }

// bookTick asks for the first blocks of the manifest that are missing.
func (r *Reception) bookTick(now time.Time) {
	b := &r.m2.book
	if b.dueAt.IsZero() || now.Before(b.dueAt) {
		return
	}
	if b.tries > 0 && (r.lastBlockAt.After(b.asked) || len(r.fills) == 0) {
		if b.lost++; b.lost >= bookLostMax {
			b.dueAt = time.Time{}
			return
		}
	}
	b.dueAt, b.asked = now.Add(bookWait<<min(b.tries, bookDoublings)+r.slot(now)), now
	b.tries++
	if !r.m2.open {
		return
	}
	first := b.got.absent(0)
	m := wire.Want{Version: r.m2.version, First: uint32(first), ClientID: r.cfg.ID}
	m.Count = uint32(min(wire.WantBlocksMax, b.got.size-first))
	for m.Count > 1 && b.got.has(first+int(m.Count)-1) {
		m.Count--
	}
	m.EchoUS, m.HeldUS = r.echo(now)
	r.sendParity(m.Append(nil, r.src))
}

// overhearWant waits for what another client asked for, the first times.
func (r *Reception) overhearWant(now time.Time, m *wire.Want) {
	r.crowdAt = now
	b := &r.m2.book
	if b.dueAt.IsZero() || b.tries > hushesMax {
		return
	}
	if first := b.got.absent(0); first >= int(m.First) && first < int(m.First+m.Count) {
		b.dueAt = later(b.dueAt, now.Add(bookWait<<min(b.tries, bookDoublings)+r.slot(now)))
		b.tries++
	}
}

// bookBlock takes a block of the manifest.
func (r *Reception) bookBlock(now time.Time, body, datagram []byte) {
	m, err := wire.ParseManifestBlock(body)
	if err != nil {
		return
	}
	t, late, ok := r.genuine(now, &r.m2.parityOrder, datagram)
	b := &r.m2.book
	if !ok || late || int64(m.Index) >= int64(b.got.size) || b.got.count == b.got.size {
		return
	}
	r.alive(now)
	if !b.got.has(int(m.Index)) {
		b.got.add(int(m.Index))
		copy(b.data[int(m.Index)*wire.BlockBytes:], m.Data)
		b.tries, b.lost = 0, 0
	}
	switch {
	case b.got.count == b.got.size:
		b.dueAt = time.Time{}
	case t.Left == 0:
		b.dueAt = now.Add(r.slot(now))
	default:
		b.dueAt = now.Add(bookWait + roundPace*time.Duration(t.Left)*r.m2.meter.gap + r.slot(now))
	}
}
