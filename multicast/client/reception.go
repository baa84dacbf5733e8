package client

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"hyzer/multicast/fec"
	"hyzer/multicast/wire"
)

// Defaults and limits of a reception. Times that the C client has are said so.
const (
	BuffersDefault = 64 // -C: chunks of 1 MiB
	BuffersMax     = 4096
	WindowDefault  = 16 // chunks asked for, by anybody, and not yet complete

	joinRetryFirst     = 50 * time.Millisecond
	joinRetryMax       = 2 * time.Second
	JoinTimeoutDefault = 2 * time.Minute
	IdleTimeoutDefault = 5 * time.Minute
	// joinsBeforeV1 is how many JOIN2 go unanswered before the old JOIN, which
	// servers older than JOIN2 need, is tried in turn with it.
	joinsBeforeV1 = 3

	// stallFirst is the silence after which what is not under way is asked for
	// again; stallNext the one after which all is, as in C (3 * 30 ms), growing
	// by stallStep to stallMax.
	stallFirst = 30 * time.Millisecond
	stallNext  = 90 * time.Millisecond
	stallStep  = 30 * time.Millisecond
	stallMax   = time.Second
	// stallGather is the silence before anything came.
	stallGather = 250 * time.Millisecond
	// tailBlocks is how near to its end a pass must have come to be taken for
	// finished at the first silence.
	tailBlocks = 64
	// gapsPerStall is how many usual gaps between blocks make a silence, and
	// gapMaxPerStall how many of the longest of late.
	gapsPerStall   = 8
	gapMaxPerStall = 3
	gapMaxMemory   = 32 // batches of blocks

	// crowdJitterMax spreads the requests of clients that all see the same
	// loss or completion; crowdMemory is how long others count as present.
	crowdJitterMax = 3 * time.Millisecond
	crowdMemory    = 5 * time.Second
	// orderGrace is how long a chunk may come later than one asked for after it.
	orderGrace = 40 * time.Millisecond
	// rejoinAfter is the silence after which the server is asked whether it is
	// there, and still has the same file.
	rejoinAfter = 2 * time.Second
	// tickMax is how far off the next deadline may be.
	tickMax = time.Second
)

// Errors that Run may wrap.
var (
	ErrNoServer     = errors.New("no frisbee server answered")
	ErrServerSilent = errors.New("frisbee server fell silent")
	ErrImageChanged = errors.New("frisbee server now sends another file")
	ErrWrongPeer    = errors.New("frisbee server cannot be understood")
	// errEmptyImage: a disk that nothing was written to is no success, though
	// the old client takes it for one. As a file (-N) it is.
	errEmptyImage = errors.New("the image is an empty file")
)

// ReceptionConfig is what a Reception needs to know. Zero values mean the
// defaults above.
type ReceptionConfig struct {
	Self    netip.Addr     // address that packets leave from
	Address netip.AddrPort // of the session
	Server  netip.Addr     // not valid: whoever answers the JOIN
	ID      uint32         // random, 31 bits
	// Raw asks for the exact size only; else a size in whole blocks will do.
	Raw         bool
	Buffers     int
	Window      int
	InOrder     bool          // start with chunk 0 whatever passes
	JoinTimeout time.Duration // < 0: never
	IdleTimeout time.Duration // of the server; < 0: never
	Heartbeat   bool          // report when asked
	Mode2       bool          // offer mode 2 to the server
	// Key makes the load one of mode 2 with a server that has the key too, and
	// nobody else's packets count; nil: no key.
	Key *wire.Key
	// Manifest asks the server for the manifest in mode 2.
	Manifest  bool
	ReportFor netip.Addr // whom reports are about; not valid: Self
	Rand      *rand.Rand

	// blank, if set, takes the place of every buffer: nothing is stored.
	blank []byte
}

func (c *ReceptionConfig) fillIn() {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.Buffers, BuffersDefault)
	def(&c.Window, WindowDefault)
	c.Buffers = min(c.Buffers, BuffersMax)
	c.Window = min(c.Window, c.Buffers)
	if c.JoinTimeout == 0 {
		c.JoinTimeout = JoinTimeoutDefault
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = IdleTimeoutDefault
	}
	c.Mode2 = c.Mode2 || c.Key != nil || c.Address.Addr().Is6()
	if c.Rand == nil {
		c.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
}

// Outgoing is a datagram to send: to the session, to the server alone, or to
// the parity address.
type Outgoing struct {
	Datagram []byte
	ToServer bool
	ToParity bool
}

// Chunk is a complete chunk. Data is right after Restore, and is given back
// with Release or Reject.
type Chunk struct {
	Index int
	Data  []byte

	missing *wire.BlockMap // nil: nothing
	held    []fec.Symbol
}

// Restore computes the blocks that parity blocks stand for. It costs nothing
// if all blocks came.
func (c Chunk) Restore(code *fec.Coder) error {
	if c.missing == nil {
		return nil
	}
	blocks := (len(c.Data) + wire.BlockBytes - 1) / wire.BlockBytes
	if err := code.Restore(c.Data[:blocks*wire.BlockBytes], c.missing, c.held); err != nil {
		return fmt.Errorf("%w: %w", ErrBadChunk, err)
	}
	return nil
}

// Reception is the machine of one client. It is not safe for concurrent use.
type Reception struct {
	cfg    ReceptionConfig
	src    [4]byte
	server netip.Addr // not valid until learned
	err    error

	joined    bool
	joins     int // JOINs sent
	sentV1    bool
	joinAt    time.Time
	startedAt time.Time

	geo      wire.Geometry
	done     chunkSet // received completely
	taken    chunkSet // done or in fills
	fills    map[int]*fill
	lent     map[int]bool // chunks that are fetched by another way
	heard    uint64       // blocks that passed
	used     uint64       // blocks, of data or parity, that were stored
	cur      *fill        // the pass under way, if it is one of ours
	curIdx   int          // chunk of the last block, -1: none
	curBlock int          // the last block
	cursor   int          // next chunk to ask for
	begun    bool         // something was asked for or seen
	seq      uint64
	busy     int // chunks with the sink
	out      int // chunks the sink is done with
	idle     [][]byte

	lastBlockAt time.Time     // any block
	gap         time.Duration // usual time between batches of blocks
	gapMax      time.Duration // longest of late
	stalls      int           // in a row
	stallFrom   time.Time     // the later of the last useful block and the last stall
	silentFrom  time.Time     // since when the server is silent though asked
	rejoinAt    time.Time
	crowdAt     time.Time // when another client was last heard
	refillAt    time.Time

	beat    heartbeat
	m2      mode2
	doubt   doubt
	intake  intake
	stats   wire.Stats
	partial wire.PartialRequest
	sends   []Outgoing
	ready   []Chunk
}

// NewReception starts to join.
func NewReception(cfg ReceptionConfig, now time.Time) *Reception {
	cfg.fillIn()
	r := &Reception{
		cfg: cfg, src: wire.SourceOf(cfg.Self), server: cfg.Server, joinAt: now, startedAt: now,
		fills: make(map[int]*fill), lent: make(map[int]bool), curIdx: -1, stats: wire.NewStats(),
	}
	r.m2.control, r.m2.nonce = cfg.Key.Control(cfg.Address.Port()), cfg.Rand.Uint32()
	r.stats.ChunkBufs, r.stats.MaxReadAhead = uint32(cfg.Buffers), uint32(cfg.Window)
	r.stats.MaxInProgress, r.stats.PktTimeoutUS = uint32(cfg.Window), uint32(stallFirst.Microseconds())
	r.stats.IdleTimer = uint32(stallNext / stallFirst)
	return r
}

// Joined says whether the size of the file is known, and it.
func (r *Reception) Joined() (wire.Geometry, bool) { return r.geo, r.joined }

// Server returns the server's address once it is known.
func (r *Reception) Server() netip.Addr { return r.server }

// Err returns why the reception cannot go on.
func (r *Reception) Err() error { return r.err }

// Received says whether all chunks are complete, Finished whether the sink is
// done with them too.
func (r *Reception) Received() bool { return r.joined && r.done.count == r.done.size }

// Finished: see Received.
func (r *Reception) Finished() bool { return r.Received() && r.out == r.done.size }

// TakeSends returns the datagrams to send. They are valid until the next call
// of any method.
func (r *Reception) TakeSends() []Outgoing {
	s := r.sends
	r.sends = r.sends[:0]
	return s
}

// TakeReady returns the chunks that became complete.
func (r *Reception) TakeReady() []Chunk {
	c := r.ready
	r.ready = nil
	return c
}

// Release takes back the buffer of a chunk that the sink is done with.
func (r *Reception) Release(now time.Time, c Chunk) {
	r.free(c)
	r.out++
	r.intake.written++
	r.refill(now)
}

// Reject takes back a chunk that the sink found damaged and asks for it again.
func (r *Reception) Reject(now time.Time, c Chunk) {
	r.free(c)
	r.done.remove(c.Index)
	r.taken.remove(c.Index)
	r.cursor = c.Index
	r.refill(now)
}

// Stored takes back the buffer of a chunk that lies elsewhere now. Release or
// Reject will follow, without Data.
func (r *Reception) Stored(c Chunk) { r.free(c) }

// free takes back the buffer of a chunk, if it still has it.
func (r *Reception) free(c Chunk) {
	if c.Data != nil {
		r.busy--
		r.idle = append(r.idle, c.Data[:cap(c.Data)])
	}
}

// Leave returns the LEAVE2 that tells the server how it went.
func (r *Reception) Leave(now time.Time) []byte {
	m := wire.Leave2{Leave: wire.Leave{ClientID: r.cfg.ID, ElapsedS: int32(now.Sub(r.startedAt) / time.Second)}}
	m.Stats = r.Stats(now)
	return m.Append(nil, r.src)
}

// Stats returns the counts so far.
func (r *Reception) Stats(now time.Time) wire.Stats {
	s := r.stats
	run := now.Sub(r.startedAt)
	s.RunSec, s.RunMsec = int32(run/time.Second), int32(run%time.Second/time.Millisecond)
	return s
}

// SetWritten notes what the sink has written, for the statistics: data, and
// data including what was zeroed or skipped.
func (r *Reception) SetWritten(realBytes, effectiveBytes uint64) {
	r.stats.RealBytes, r.stats.EffectiveBytes = realBytes, effectiveBytes
}

func (r *Reception) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Reception) send(b []byte) { r.sends = append(r.sends, Outgoing{Datagram: b}) }

// crowded says whether other clients were heard lately.
func (r *Reception) crowded(now time.Time) bool {
	return !r.crowdAt.IsZero() && now.Sub(r.crowdAt) < crowdMemory
}

// jitter is how long to wait for somebody else to ask for the same.
func (r *Reception) jitter(now time.Time) time.Duration {
	if !r.crowded(now) {
		return 0
	}
	return time.Duration(r.cfg.Rand.Int64N(int64(crowdJitterMax)))
}

// begin is called with the size of the file.
func (r *Reception) begin(now time.Time, fileBytes int64) {
	geo, err := wire.NewGeometry(fileBytes)
	if err == nil && fileBytes == 0 && !r.cfg.Raw {
		err = errEmptyImage
	}
	if err != nil {
		r.fail(fmt.Errorf("%w: %v at %v: %w", ErrWrongPeer, r.server, r.cfg.Address, err))
		return
	}
	r.geo, r.joined = geo, true
	r.done, r.taken = newChunkSet(geo.Chunks()), newChunkSet(geo.Chunks())
	r.lastBlockAt, r.stallFrom, r.silentFrom = now, now, now
	r.rejoinAt = now.Add(rejoinAfter)
	// Others may already be on their way: listen a moment before asking.
	r.refillAt = now.Add(time.Duration(r.cfg.Rand.Int64N(int64(crowdJitterMax))))
}
