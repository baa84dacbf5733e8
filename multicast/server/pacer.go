package server

import (
	"math"
	"time"

	"hyzer/multicast/wire"
)

// Rates and their arithmetic (A5, Pacing).
const (
	// WireBitsPerBlock is what a block costs on Ethernet, preamble and gap
	// included, in the arithmetic of -W.
	WireBitsPerBlock = 9168

	burstDefault    = 16
	intervalDefault = 2 * time.Millisecond
	intervalMin     = time.Millisecond
	dynamicPeriod   = 500 * time.Millisecond
	dynamicCutNum   = 9 // burst *= 9/10 on loss
	dynamicCutDen   = 10
	dynamicBurstMin = 5
	// Loss that clients of mode 2 report: up to lossTolerated is noise, at
	// which a link is never slowed down; twice what is more is cut, at least a
	// tenth and at most half. Below a lossFloorDiv-th of the cap loss is not of
	// our making.
	lossTolerated = wire.Loss(2 << 16 / 100)
	lossCutMin    = 0.1
	lossCutMax    = 0.5
	lossFloorDiv  = 16
	// Loss that a cut does not lower by one part in noiseShareDiv is the
	// link's own. Slowing down does not help against that.
	noiseShareDiv      = 8
	noiseMemory        = 8 // periods
	dynamicUnpacedBits = 10_000_000_000
	// lagIntervalsMax is how many bursts a late sender may make up for at
	// once; what is later than that is forgone. Old clients have room for one
	// burst of the cap.
	lagIntervalsMax = 10
	blocksPerSecMax = 10_000_000
	// While flow limits the rate, so many intervals are joined that a burst has
	// about flowBurst blocks.
	flowBurst          = 48
	flowBurstIntervals = 8
)

// Pace says how fast blocks leave. The zero value is the C server's default of
// 16 blocks every 2 ms.
type Pace struct {
	// BitsPerSec is the cap on the wire (-W); 0: use Burst and Gap.
	BitsPerSec int64
	// Burst blocks leave back to back (-B), then the next burst Gap after the
	// start of this one (-G). Gap < 0 (-G 0): unpaced.
	Burst int
	Gap   time.Duration
	// Dynamic lowers the rate when clients ask again for what was sent, and
	// raises it slowly when they do not (-D).
	Dynamic bool
}

// pacer turns a Pace into budgets by absolute deadlines, so that a late wake
// up does not lower the rate.
type pacer struct {
	burst    int // 0: unpaced
	cap      int
	interval time.Duration
	left     int
	deadline time.Time // of the next burst

	old   bool // there are old clients
	flow  flow
	carry float64 // of a block, from the interval before, while flow limits

	dynamic   bool
	lossy     bool
	loss      wire.Loss // worst reported in this period
	noise     wire.Loss // that does not go away when the rate is cut
	cutFor    wire.Loss // the loss that made us cut in the period before; 0: none
	cutFrom   int       // burst before that
	adjustAt  time.Time
	changes   BurstChanges
	intervals uint64
	missed    uint64
}

func newPacer(p Pace, now time.Time) pacer {
	burst, interval := p.burst()
	pc := pacer{burst: burst, interval: interval, deadline: now}
	if p.Dynamic {
		pc.dynamic, pc.adjustAt = true, now.Add(dynamicPeriod)
		if pc.burst == 0 {
			pc.burst, pc.interval = burstOf(dynamicUnpacedBits)
		}
		if pc.burst < dynamicBurstMin { // too coarse to cut by a tenth
			pc.interval = pc.interval * dynamicBurstMin / time.Duration(pc.burst)
			pc.burst = dynamicBurstMin
		}
	}
	pc.cap = pc.burst
	return pc
}

func (p Pace) burst() (int, time.Duration) {
	switch {
	case p.BitsPerSec > 0:
		return burstOf(p.BitsPerSec)
	case p.Gap < 0:
		return 0, 0
	case p.Burst <= 0 || p.Gap == 0:
		return burstDefault, intervalDefault
	}
	return p.Burst, max(p.Gap, intervalMin)
}

// burstOf returns the smallest burst that lasts intervalMin or longer. Unlike
// the C server it does not round the rate down to whole blocks.
func burstOf(bitsPerSec int64) (int, time.Duration) {
	perSec := min(float64(bitsPerSec)/WireBitsPerBlock, blocksPerSecMax)
	burst := int(math.Ceil(perSec * intervalMin.Seconds()))
	return burst, time.Duration(float64(burst) / perSec * float64(time.Second))
}

// budget returns how many blocks may leave now, or when some may.
func (p *pacer) budget(now time.Time) (int, time.Time) {
	if p.burst == 0 {
		return math.MaxInt, time.Time{}
	}
	if p.left > 0 {
		return p.left, time.Time{}
	}
	if now.Before(p.deadline) {
		return 0, p.deadline
	}
	lag := lagIntervalsMax * p.interval
	if p.old {
		lag = p.interval
		if allowed := p.flow.limit * p.interval.Seconds(); allowed > 0 && allowed < float64(p.burst) {
			lag = time.Duration(float64(p.interval) * float64(p.burst) / allowed)
		}
	}
	if oldest := now.Add(-lag); p.deadline.Before(oldest) {
		p.deadline = oldest
		p.missed++
	}
	p.flow.grow(now)
	for p.left <= 0 {
		blocks, interval := p.share()
		p.deadline = p.deadline.Add(interval)
		p.left = blocks
		p.intervals++
		if p.left <= 0 && now.Before(p.deadline) {
			return 0, p.deadline
		}
	}
	return p.left, time.Time{}
}

// share is how many blocks may leave in the interval that begins, and how long
// that is. A slow session has longer ones, for a burst costs the same work
// whether it is of few blocks or many.
func (p *pacer) share() (blocks int, interval time.Duration) {
	allowed := p.flow.limit * p.interval.Seconds()
	if allowed == 0 || allowed >= float64(p.burst) {
		p.carry = 0
		return p.burst, p.interval
	}
	joined := max(1, min(int(min(float64(p.burst), flowBurst)/max(allowed, 1)), flowBurstIntervals))
	p.carry += allowed * float64(joined)
	n := int(p.carry)
	p.carry -= float64(n)
	return n, p.interval * time.Duration(joined)
}

// beginOld is begin for clients of which some are old ones.
func (p *pacer) beginOld(now time.Time, clients int) {
	if p.old = true; p.dynamic {
		p.flow.beginOld(now, float64(p.cap)/p.interval.Seconds(), clients)
	}
}

// begin turns flow control on, unless nothing is paced.
func (p *pacer) begin(now time.Time) {
	if p.burst > 0 {
		p.flow.begin(now, float64(p.cap)/p.interval.Seconds())
	}
}

func (p *pacer) spend(n int) {
	if p.burst != 0 {
		p.left -= n
	}
}

// adjust applies the dynamic rate rule when its period is over.
func (p *pacer) adjust(now time.Time) {
	if !p.due(now) {
		return
	}
	was := p.burst
	defer func() { p.changes.note(was, p.burst) }()
	switch {
	case p.lossy:
		p.burst = max(1, min(p.burst-1, p.burst*dynamicCutNum/dynamicCutDen))
	case p.cutFor > 0 && p.loss >= p.cutFor-p.cutFor/noiseShareDiv:
		// It was not our rate that caused it.
		p.noise, p.burst, p.cutFor = p.loss, p.cutFrom, 0
	case p.loss > lossTolerated+p.noise+p.noise/2:
		p.cutFor, p.cutFrom = p.loss, p.burst
		p.yield()
	default:
		p.burst = min(p.burst+1, p.cap)
		p.cutFor = 0
	}
	p.noise -= (p.noise - min(p.noise, p.loss)) / noiseMemory
	p.lossy, p.loss = false, 0
	p.adjustAt = now.Add(dynamicPeriod)
}

// due says whether a period is over.
func (p *pacer) due(now time.Time) bool { return p.dynamic && !now.Before(p.adjustAt) }

// lost notes the loss of a client.
func (p *pacer) lost(l wire.Loss) { p.loss = max(p.loss, l) }

// yield cuts the rate by the loss that was reported.
func (p *pacer) yield() {
	cut := max(lossCutMin, min(2*p.loss.Share(), lossCutMax))
	floor := max(1, p.cap/lossFloorDiv)
	p.burst = max(min(floor, p.burst), min(p.burst-1, int(float64(p.burst)*(1-cut))))
	p.flow.limit *= 1 - cut
}

// bitsPerSec returns the present cap on the wire, 0 if there is none.
func (p *pacer) bitsPerSec() int64 {
	if p.burst == 0 {
		return 0
	}
	return int64(float64(p.burst) * WireBitsPerBlock / p.interval.Seconds())
}
