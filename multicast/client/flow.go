package client

import (
	"time"

	"hyzer/multicast/internal/sock"
	"hyzer/multicast/wire"
)

// Flow control: a client that falls behind tells the server how fast it can go.
const (
	// intakeWindow is the shortest time over which a rate is measured, and
	// writeWindow that for chunks given to the sink.
	intakeWindow = 10 * time.Millisecond
	writeWindow  = 100 * time.Millisecond
	rateMemory   = 4 // a new measurement counts for one part in so many
	// flowEvery is how often the server is told.
	flowEvery = 20 * time.Millisecond
	// A client is behind when its socket is fuller than socketFillMax, or the
	// buffers for chunks that wait for the sink than bufferFillMax.
	socketFillMax = 1.0 / 8
	bufferFillMax = 3.0 / 4
	// socketPause is how long a stall, or a request, is put off while a socket has
	// datagrams.
	socketPause = 2 * time.Millisecond
	// askHoldsMax is how often in a row a request is put off because datagrams
	// wait: others may fill a socket for ever.
	askHoldsMax = 25
)

// intake measures what the client takes in, and whether it keeps up.
type intake struct {
	at      time.Time // of the latest news
	since   time.Time
	count   int     // datagrams since then
	rate    float64 // datagrams per second, while there always were some
	busy    bool    // there always were some in the latest window
	emptied bool    // the socket was empty at some time in this window
	socket  float64 // how full the socket is
	dropped uint32  // by the socket, in all

	writeSince time.Time
	written    int     // chunks since then
	writeRate  float64 // blocks per second

	toldAt    time.Time // by us, or by a client that is not faster
	toldDrops uint32
}

// take notes that datagrams were taken in, and what is left waiting.
func (i *intake) take(now time.Time, datagrams int, left sock.Backlog) {
	if i.since.IsZero() {
		i.since, i.writeSince = now, now
	}
	i.at = now
	i.count += datagrams
	i.socket, i.dropped = left.Share(), left.Dropped
	i.emptied = i.emptied || left.Bytes == 0
	if d := now.Sub(i.since); d >= intakeWindow {
		// Only who always has something to do shows what it can do.
		if i.busy = !i.emptied; i.busy {
			i.rate = blend(i.rate, float64(i.count)/d.Seconds())
		}
		i.since, i.count, i.emptied = now, 0, false
	}
	if d := now.Sub(i.writeSince); d >= writeWindow {
		i.writeRate = blend(i.writeRate, float64(i.written*wire.ChunkBlocks)/d.Seconds())
		i.writeSince, i.written = now, 0
	}
}

func blend(old, latest float64) float64 {
	if old == 0 {
		return latest
	}
	return old + (latest-old)/rateMemory
}

// behind says whether the client cannot keep up, how fast it can go, and how
// full it is; buffers is what Reception.waiting returns.
func (i *intake) behind(buffers float64) (rate, fill float64, yes bool) {
	if i.busy && i.socket > socketFillMax {
		rate, fill, yes = i.rate, i.socket, true
	}
	if buffers > bufferFillMax && (!yes || i.writeRate < rate) {
		rate, yes = i.writeRate, true
		fill = max(fill, (buffers-bufferFillMax)/(1-bufferFillMax))
	}
	return rate, min(fill, 1), yes
}

// Intake notes what the shell took from the sockets, and what is left there.
func (r *Reception) Intake(now time.Time, datagrams int, left sock.Backlog) {
	r.m2.meter.drop(left.Dropped - r.intake.dropped)
	r.intake.take(now, datagrams, left)
	if !r.m2.on || !r.m2.open || now.Sub(r.intake.toldAt) < flowEvery {
		return
	}
	inUse := len(r.fills) + r.busy
	rate, fill, behind := r.intake.behind(r.waiting())
	if !behind && r.intake.dropped == r.intake.toldDrops {
		return
	}
	if !behind { // only to tell what was dropped
		rate, fill = float64(^uint32(0)), r.intake.socket
	}
	r.intake.toldAt, r.intake.toldDrops = now, r.intake.dropped
	m := wire.Flow{
		Version: r.m2.version, Rate: uint32(min(rate, float64(^uint32(0)))), Fill: wire.NewLoss(int(fill*1000), 1000),
		Free: uint16(max(r.cfg.Buffers-inUse, 0)), Dropped: r.intake.dropped, ClientID: r.cfg.ID,
	}
	m.EchoUS, m.HeldUS = r.echo(now)
	r.sendParity(m.Append(nil, r.src))
}

// waiting is how many chunks wait for the sink, as a share of the buffers that
// are not for those on their way.
func (r *Reception) waiting() float64 {
	return float64(r.busy) / float64(max(r.cfg.Buffers-r.cfg.Window, r.cfg.Buffers/4, 1))
}

// overhearFlow is silent for a while if another client is as slow as this one.
func (r *Reception) overhearFlow(now time.Time, m *wire.Flow) {
	r.crowdAt = now
	if rate, _, behind := r.intake.behind(0); behind && float64(m.Rate) <= rate {
		r.intake.toldAt = now
	}
}
