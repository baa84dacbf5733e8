package tftp

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TestTransferSteps is the sending machine event by event.
func TestTransferSteps(t *testing.T) {
	t.Parallel()
	const oack = -1
	type step struct {
		at    time.Duration
		ack   int // block number; expire: the timer runs out
		first uint64
		count int // blocks ordered; oack; 0: nothing
		end   string
	}
	const expire = -2
	tr := terms{blockBytes: 512, window: 1}
	with := func(size int64, window int, timeout time.Duration, options ...Option) terms {
		tr := tr
		tr.fileBytes, tr.window, tr.timeout, tr.accepted = size, window, timeout, options
		return tr
	}
	sec, ms := time.Second, time.Millisecond
	for _, c := range []struct {
		name  string
		terms terms
		start step
		steps []step
	}{
		{"lockstep, last block short", with(1000, 1, 0), step{first: 1, count: 1}, []step{
			{0, 1, 2, 1, ""}, {0, 2, 0, 0, "ok"}}},
		{"a multiple of the block ends with an empty one", with(1024, 1, 0), step{first: 1, count: 1}, []step{
			{0, 1, 2, 1, ""}, {0, 2, 3, 1, ""}, {0, 3, 0, 0, "ok"}}},
		{"empty file", with(0, 1, 0), step{first: 1, count: 1}, []step{{0, 1, 0, 0, "ok"}}},
		{"OACK waits for ACK 0", with(1000, 1, 0, Option{"tsize", "1000"}), step{count: oack}, []step{
			{0, 1, 0, 0, ""}, {0, 0, 1, 1, ""}}},
		{"duplicate ACK sends nothing", with(5000, 1, 0), step{first: 1, count: 1}, []step{
			{0, 1, 2, 1, ""}, {0, 1, 0, 0, ""}, {0, 1, 0, 0, ""}, {0, 0, 0, 0, ""}, {0, 2, 3, 1, ""}}},
		{"ACK of what was not sent", with(5000, 1, 0), step{first: 1, count: 1}, []step{
			{0, 2, 0, 0, ""}, {0, 65535, 0, 0, ""}, {0, 1, 2, 1, ""}}},
		{"ACK inside the window goes back", with(50000, 4, 0), step{first: 1, count: 4}, []step{
			{0, 4, 5, 4, ""}, {0, 6, 7, 4, ""}, {0, 6, 0, 0, ""}, {0, 10, 11, 4, ""}}},
		{"window at the end is short", with(2600, 4, 0), step{first: 1, count: 4}, []step{
			{0, 4, 5, 2, ""}, {0, 5, 6, 1, ""}, {0, 6, 0, 0, "ok"}}},
		{"back-off before the first ACK, then give up", with(5000, 4, 0), step{first: 1, count: 4}, []step{
			{999 * ms, expire, 0, 0, ""}, {1 * sec, expire, 1, 4, ""}, {3 * sec, expire, 1, 4, ""},
			{7 * sec, expire, 1, 4, ""}, {15 * sec, expire, 0, 0, errSilent.Error()}}},
		{"time-out resends the window, measured timer", with(50000, 4, 0), step{first: 1, count: 4}, []step{
			{10 * ms, 4, 5, 4, ""}, {209 * ms, expire, 0, 0, ""}, {210 * ms, expire, 5, 4, ""},
			{609 * ms, expire, 0, 0, ""}, {610 * ms, expire, 5, 4, ""}, {620 * ms, 8, 9, 4, ""}}},
		{"negotiated time-out as it is", with(5000, 1, 3*sec, Option{"timeout", "3"}), step{count: oack}, []step{
			{1 * ms, 0, 1, 1, ""}, {3 * sec, expire, 0, 0, ""}, {3001 * ms, expire, 1, 1, ""},
			{6 * sec, expire, 0, 0, ""}, {6001 * ms, expire, 1, 1, ""}}},
		{"no transfer lasts for ever", with(5000, 1, 0), step{first: 1, count: 1}, []step{
			{transferMax, 1, 2, 1, ""}, {transferMax + sec, 2, 0, 0, errTooLong.Error()}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newTransfer(c.terms)
			check := func(i int, o order, want step) {
				t.Helper()
				got := step{at: want.at, ack: want.ack, first: o.first, count: o.count}
				if o.oack {
					got.count = oack
				}
				switch {
				case o.err != nil:
					got.end = o.err.Error()[:min(len(want.end), len(o.err.Error()))]
				case o.done:
					got.end = "ok"
				}
				if got != want {
					t.Fatalf("step %d: got %+v, want %+v", i, got, want)
				}
			}
			check(0, m.start(epoch), c.start)
			for i, s := range c.steps {
				now := epoch.Add(s.at)
				if s.ack == expire {
					check(i+1, m.expire(now), s)
				} else {
					check(i+1, m.ack(now, uint16(s.ack)), s)
				}
			}
		})
	}
}

// TestBlockNumberWraps sends 70 000 blocks of 8 bytes.
func TestBlockNumberWraps(t *testing.T) {
	t.Parallel()
	for _, window := range []int{1, 7, 64} {
		p := pipe{rng: rand.New(rand.NewPCG(1, 1))}
		p.check(t, content(70_000*8+3), terms{blockBytes: 8, window: window})
	}
}

// TestAnyNetwork is the promise of the package: over a network that loses,
// repeats and reorders, the file arrives whole or the receiver knows that it
// has not.
func TestAnyNetwork(t *testing.T) {
	t.Parallel()
	whole := 0
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 42))
		p := pipe{rng: rng, loss: rng.Float64() * 0.3, copies: rng.Float64() * 0.3, jitter: time.Duration(rng.IntN(50)) * time.Millisecond}
		tr := terms{blockBytes: 8 + rng.IntN(600), window: 1 + rng.IntN(20)}
		if rng.IntN(2) == 0 {
			tr.timeout = time.Second
		}
		if p.check(t, content(rng.IntN(20_000)), tr) {
			whole++
		}
	}
	if whole < 200 {
		t.Errorf("only %d of 300 transfers came through", whole)
	}
}

// TestCleanNetworkSendsOnce holds the cost: no loss, no block twice.
func TestCleanNetworkSendsOnce(t *testing.T) {
	t.Parallel()
	for _, window := range []int{1, 4, 64} {
		p := pipe{rng: rand.New(rand.NewPCG(3, 3))}
		data := content(100_000)
		p.check(t, data, terms{blockBytes: 512, window: window})
		if want := len(data)/512 + 1; p.blocksSent != want {
			t.Errorf("window %d: %d blocks sent, the file has %d", window, p.blocksSent, want)
		}
	}
}

// pipe joins the two machines by a network in virtual time.
type pipe struct {
	rng          *rand.Rand
	loss, copies float64 // probability for each packet
	jitter       time.Duration
	blocksSent   int

	now    time.Time
	flight flightHeap
	seq    int
}

type datagram struct {
	at       time.Time
	seq      int
	toClient bool
	bytes    []byte
}

func (p *pipe) send(toClient bool, b []byte) {
	n := 1
	if p.rng.Float64() < p.copies {
		n = 2
	}
	for range n {
		if p.rng.Float64() < p.loss {
			continue
		}
		delay := time.Millisecond
		if p.jitter > 0 {
			delay += time.Duration(p.rng.Int64N(int64(p.jitter)))
		}
		p.seq++
		heap.Push(&p.flight, datagram{p.now.Add(delay), p.seq, toClient, b})
	}
}

// check runs one transfer and compares; it tells whether the file came whole.
func (p *pipe) check(t *testing.T, data []byte, tr terms) bool {
	t.Helper()
	asked := []Option{{"blksize", fmt.Sprint(tr.blockBytes)}, {"tsize", "0"}, {"windowsize", fmt.Sprint(tr.window)}}
	granted := negotiate(asked, int64(len(data)), offer{blockBytesMax: blockBytesMax, windowMax: windowMaxDefault})
	granted.timeout = tr.timeout
	m, r := newTransfer(granted), newReceiver(asked)
	p.now = epoch
	var got bytes.Buffer
	senderEnd, receiverErr := p.run(t, m, r, data, &got)
	switch {
	case r.finished && !bytes.Equal(got.Bytes(), data):
		t.Fatalf("%+v: receiver ended well with other bytes: %d of %d", tr, got.Len(), len(data))
	case receiverErr != nil:
		t.Fatalf("%+v: %v", tr, receiverErr)
	case senderEnd == nil && !r.finished:
		t.Fatalf("%+v: sender ended well, receiver did not", tr)
	case senderEnd != nil && !errors.Is(senderEnd, errSilent):
		t.Fatalf("%+v: %v", tr, senderEnd)
	}
	return r.finished
}

// run ends when the sender does. The receiver repeats its last ACK after five
// seconds of silence, as clients do.
func (p *pipe) run(t *testing.T, m *transfer, r *receiver, data []byte, got *bytes.Buffer) (senderEnd, receiverErr error) {
	t.Helper()
	heard := p.now
	o := m.start(p.now)
	for range 5_000_000 {
		if o.done {
			return o.err, nil
		}
		p.order(m, o, data)
		o = order{}
		switch {
		case len(p.flight) > 0 && p.flight[0].at.Before(m.deadline):
			d := heap.Pop(&p.flight).(datagram)
			p.now = d.at
			if !d.toClient {
				o = m.ack(p.now, binary.BigEndian.Uint16(d.bytes[2:]))
				continue
			}
			heard = p.now
			if err := p.receive(t, r, d.bytes, got); err != nil {
				return nil, err
			}
		default:
			p.now = m.deadline
			o = m.expire(p.now)
			if r.started && !r.finished && p.now.Sub(heard) > 5*time.Second {
				heard = p.now
				p.ack(r.silence())
			}
		}
	}
	t.Fatal("the transfer does not end")
	return nil, nil
}

func (p *pipe) order(m *transfer, o order, data []byte) {
	if o.oack {
		p.send(true, Packet{Op: OpOack, Options: m.accepted}.Append(nil))
	}
	for i := range o.count {
		off, n := m.span(o.first+uint64(i), 1)
		p.blocksSent++
		p.send(true, Packet{Op: OpData, Block: uint16(o.first + uint64(i)), Data: data[off : off+int64(n)]}.Append(nil))
	}
}

func (p *pipe) receive(t *testing.T, r *receiver, b []byte, got *bytes.Buffer) error {
	t.Helper()
	d, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	var out receipt
	if d.Op == OpOack {
		out = r.oack(d.Options)
	} else {
		out = r.data(d.Block, d.Data)
	}
	got.Write(out.data)
	p.ack(out)
	return out.err
}

func (p *pipe) ack(r receipt) {
	if r.ack {
		p.send(false, Packet{Op: OpAck, Block: r.num}.Append(nil))
	}
}

type flightHeap []datagram

func (f flightHeap) Len() int { return len(f) }
func (f flightHeap) Less(i, j int) bool {
	return f[i].at.Before(f[j].at) || f[i].at.Equal(f[j].at) && f[i].seq < f[j].seq
}
func (f flightHeap) Swap(i, j int) { f[i], f[j] = f[j], f[i] }
func (f *flightHeap) Push(x any)   { *f = append(*f, x.(datagram)) }
func (f *flightHeap) Pop() any {
	old := *f
	d := old[len(old)-1]
	*f = old[:len(old)-1]
	return d
}
