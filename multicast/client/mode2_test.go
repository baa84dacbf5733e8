package client

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hyzer/multicast/fec"
	"hyzer/multicast/wire"
)

// lesson is a client of mode 2 that has joined, and what its server sends.
type lesson struct {
	now time.Time
	r   *Reception
	seq uint32
}

const lessonChunks = 8

func newLesson(t *testing.T) *lesson {
	t.Helper()
	l := &lesson{now: time.Unix(1000, 0)}
	l.r = NewReception(ReceptionConfig{
		Self: netip.MustParseAddr("10.0.0.2"), Address: simGroup, ID: 7, Raw: true, Mode2: true, InOrder: true, Rand: rand.New(rand.NewPCG(1, 1)),
	}, l.now)
	grant := wire.Grant{ParityPort: simParity, Code: wire.CodeCauchy, ParityBlocks: fec.ParityBlocks}
	l.r.Receive(l.now, simServerAt, wire.AppendGrant(wire.NewJoin2Reply(7, lessonChunks<<20).Append(nil, wire.Reply, simServerAt.Addr().As4()), grant))
	l.r.SetParityOpen(true)
	if !l.r.m2.on {
		t.Fatal("mode 2 was not granted")
	}
	return l
}

// block sends a block with that trailer.
func (l *lesson) block(chunk, n int, t wire.Trailer) {
	frame := make([]byte, wire.DatagramBytesMax)
	wire.PutBlockHeader(frame, uint32(chunk), uint32(n), simServerAt.Addr().As4())
	wire.PutTrailer(frame, t, nil)
	l.r.Receive(l.now, simServerAt, frame)
}

// pass sends all blocks of a chunk but those of lost.
func (l *lesson) pass(chunk int, lost wire.BlockMap, loss wire.Loss) {
	for n := range wire.ChunkBlocks {
		l.seq++
		if !lost.Has(n) {
			l.block(chunk, n, wire.Trailer{Seq: l.seq, SentUS: l.seq, Loss: loss})
		}
	}
}

// other sends a NAK of somebody else for a chunk that nobody wants any more.
func (l *lesson) other() {
	src := [4]byte{10, 0, 0, 9}
	b := wire.Nak{Chunk: lessonChunks - 1, Need: 1, ClientID: 8}.Append(nil, src)
	l.r.ReceiveParity(l.now, netip.AddrPortFrom(netip.AddrFrom4(src), simParity), b)
}

func blocksFrom(first, count int) (m wire.BlockMap) {
	m.AddRange(first, count)
	return m
}

// TestLate: a block that is sent again long after it was new changes nothing of
// what the client takes the server to do.
func TestLate(t *testing.T) {
	t.Parallel()
	l := newLesson(t)
	for chunk := range 3 {
		l.pass(chunk, blocksFrom(5, 3), 0)
	}
	clock, current := l.r.m2.clockUS, l.r.curIdx
	l.block(7, 3, wire.Trailer{Seq: l.seq - lateMin - 1, SentUS: 1})
	if l.r.m2.clockUS != clock || l.r.curIdx != current || l.r.fills[7] != nil && l.r.fills[7].data != nil {
		t.Errorf("a late block set clock %d to %d, chunk %d to %d", clock, l.r.m2.clockUS, current, l.r.curIdx)
	}
	l.block(7, 3, wire.Trailer{Seq: l.seq - lateMin, SentUS: 9})
	if l.r.curIdx != 7 {
		t.Error("a block that was overtaken by a few others is not taken")
	}
	l.block(6, 3, wire.Trailer{Version: wire.Version{Epoch: 1}, Seq: 1, SentUS: 1})
	if l.r.curIdx != 6 {
		t.Error("the first block of a server that was started anew is not taken")
	}
}

// TestTurn: who lacks more than others asks before them.
func TestTurn(t *testing.T) {
	t.Parallel()
	last := time.Duration(0)
	for _, lost := range []int{25, 15, 8, 1} {
		l := newLesson(t)
		l.other()
		l.pass(0, blocksFrom(100, lost), wire.NewLoss(1, 100))
		l.block(1, 0, wire.Trailer{Seq: l.seq + 1, SentUS: l.seq + 1})
		f := l.r.fills[0]
		wait := f.dueAt.Sub(l.now)
		if f.need() != lost || wait < last || wait > nakSlotMax {
			t.Errorf("who lacks %d of %d blocks waits %v, after %v", f.need(), lost, wait, last)
		}
		last = wait + 1
	}
}

// TestHoldAsks: while the socket holds datagrams nothing is asked for, but not
// for ever.
func TestHoldAsks(t *testing.T) {
	t.Parallel()
	l := newLesson(t)
	l.other()
	l.pass(0, blocksFrom(100, 5), 0)
	l.block(1, 0, wire.Trailer{Seq: l.seq + 1, SentUS: l.seq + 1})
	f := l.r.fills[0]
	l.now = f.dueAt
	holds := 0
	for ; l.r.asks(l.now); holds++ {
		if l.r.holdAsks(l.now); l.r.asks(l.now) {
			break
		}
		l.now = f.dueAt
	}
	l.r.TakeSends()
	l.r.Tick(l.now)
	naks := 0
	for _, o := range l.r.TakeSends() {
		if o.ToParity {
			naks++
		}
	}
	if holds != askHoldsMax || naks != 1 || f.putOffs != 0 {
		t.Errorf("put off %d times, %d NAKs then", holds, naks)
	}
}
