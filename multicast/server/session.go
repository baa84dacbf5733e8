package server

import (
	"net/netip"
	"time"

	"hyzer/multicast/wire"
)

// Limits of a session.
const (
	// joinRepliesMax is how many JOIN2 replies may wait; a client whose JOIN
	// is dropped here sends another in half a second.
	joinRepliesMax = 256
	// repliesInRowMax is how many replies leave between two ranges of blocks.
	repliesInRowMax = 8
	// BlocksPerActionMax is the longest range of one Action.
	BlocksPerActionMax = 60
	// lastLeftGrace is how long a session outlives its last client (-T -1).
	lastLeftGrace = 2 * time.Second
	// silenceMax ends a session that waits for its last client to leave when
	// nobody has asked for anything for so long: a LEAVE can get lost.
	silenceMax = 3 * time.Minute
	// repairHoldDefault is how long a repair waits for those of other clients.
	repairHoldDefault = 5 * time.Millisecond
	replyBytesMax     = 128
	// repeatChunksMax is the largest image, 64 GiB, whose repeated blocks are
	// counted: that takes memory for every chunk.
	repeatChunksMax = 1 << 16
)

// LingerLastClient as Linger ends a session soon after its last client left. The
// first one may take its time, unless it was told of the session (Touch).
const LingerLastClient = time.Duration(-1)

// SessionConfig is what a Session needs to know.
type SessionConfig struct {
	// Self is the address that packets leave from.
	Self netip.Addr
	// Address is where all packets go and the port all must come from.
	Address netip.AddrPort
	// FileBytes is the size of the file.
	FileBytes int64
	// Pace is the rate.
	Pace Pace
	// Linger ends the session when nobody has asked for anything for so long;
	// 0: never; LingerLastClient: when the last client has left.
	Linger time.Duration
	// HeartbeatSeconds asks clients for a report every so often; 0: do not.
	HeartbeatSeconds uint32
	// RepairHold is how long a repair waits for other clients' repairs of the
	// same chunk, while there is more than one client; 0: 5 ms, < 0: not.
	RepairHold time.Duration
	// Gather is how long the first blocks, or those after a long silence, wait
	// at most for more clients to join; 0: not.
	Gather time.Duration
	// Mode2 lets clients that can be served by parity blocks; nil: nobody.
	Mode2 *Mode2
}

// ActionKind says what an Action asks of the shell.
type ActionKind int

// The kinds of actions.
const (
	ActSleep    ActionKind = iota // until Until, or Receive says to wake
	ActSend                       // Datagram, to the session address
	ActBlocks                     // Count blocks of Chunk from First on
	ActFinish                     // the session is over, see Reason
	ActParity                     // Count parity blocks of Chunk from the First-th on, to the parity port
	ActManifest                   // Count blocks of the manifest from the First-th on, to the parity port
)

// Action is what to do next. Until is the zero time if only a datagram can
// change anything. Datagram is valid until the next call.
type Action struct {
	Kind         ActionKind
	Until        time.Time
	Datagram     []byte
	Chunk        int
	First, Count int
	Reason       Reason
	// Mode2 says that blocks have a trailer; Trailer is that of the first. Each
	// of the others has the next Seq and one Left less.
	Mode2   bool
	Trailer wire.Trailer
}

// Reason is why a session is over.
type Reason int

// The reasons.
const (
	ReasonNone     Reason = iota
	ReasonIdle            // nobody asked for anything for Linger
	ReasonLastLeft        // the last client left
	ReasonSilence         // waiting for the last client, but all fell silent
)

// String names the reason for logs.
func (r Reason) String() string {
	return [...]string{"running", "idle", "last client left", "clients fell silent"}[r]
}

// sending is the range that is being sent.
type sending struct {
	active    bool
	whole     bool // of a complete chunk
	chunk     uint32
	next, end int
	element   *element      // what is left of the element, nil if nothing
	sent      wire.BlockMap // of this chunk since it came to the head
	since     time.Time     // when it came to the head
}

// joinReply is a JOIN answer that waits.
type joinReply struct {
	id      uint32
	v2      bool
	grant   bool   // of mode 2
	nonce   uint32 // to echo
	trusted bool   // the client has the key
}

// Session is the machine of one session. It is not safe for concurrent use.
type Session struct {
	cfg     SessionConfig
	geo     wire.Geometry
	src     [4]byte
	pace    pacer
	queue   queue
	cur     sending
	clients roster
	stats   Stats
	events  []Event
	m2      mode2
	gather  gather
	nudge   nudge
	passed  passed
	ready   func(need) bool // what of the image is in memory; nil: all
	old     bool            // an old client asked for something
	passes  uint64          // of whole chunks

	replies   []joinReply
	heartbeat bool // a PROGRESS request for beatID is due
	beatID    uint32
	inRow     int // replies since the last range
	out       []byte
	partial   wire.PartialRequest

	startedAt  time.Time
	firstAt    time.Time        // when the first client joined
	met        bool             // somebody is, or was, there, or on the way
	restedAt   uint64           // datagrams sent at the last rest, and 1
	activeAt   time.Time        // when there last was work or a request
	lastLeftAt time.Time        // zero: somebody is there, or nobody ever was
	sentOnce   []*wire.BlockMap // by chunk; allBlocks when it is complete; empty: not counted
	allBlocks  *wire.BlockMap
}

// NewSession returns the machine for a file, or an error that wraps
// wire.ErrFileSize.
func NewSession(cfg SessionConfig, now time.Time) (*Session, error) {
	geo, err := wire.NewGeometry(cfg.FileBytes)
	if err != nil {
		return nil, err
	}
	if cfg.RepairHold == 0 {
		cfg.RepairHold = repairHoldDefault
	}
	var all wire.BlockMap
	all.AddRange(0, wire.ChunkBlocks)
	s := &Session{
		cfg: cfg, geo: geo, src: wire.SourceOf(cfg.Self), pace: newPacer(cfg.Pace, now), queue: newQueue(),
		gather: gather{max: cfg.Gather}, clients: newRoster(), out: make([]byte, 0, replyBytesMax), startedAt: now, activeAt: now,
		sentOnce: make([]*wire.BlockMap, trackedChunks(geo)), allBlocks: &all,
	}
	if m := cfg.Mode2; m != nil {
		s.m2.control = m.Key.Control(cfg.Address.Port())
		s.m2.wants = newWants(m.ManifestBytes)
		if m.Key != nil {
			s.m2.seen = make([]uint64, tagsMax)
		}
	}
	return s, nil
}

func trackedChunks(geo wire.Geometry) int {
	if geo.Chunks() > repeatChunksMax {
		return 0
	}
	return geo.Chunks()
}

// Geometry returns how the file is cut.
func (s *Session) Geometry() wire.Geometry { return s.geo }

// Stats returns the counts so far.
func (s *Session) Stats(now time.Time) Stats {
	st := s.stats
	st.Clients, st.ClientsMost = s.clients.len(), s.clients.most
	st.Intervals, st.IntervalsMissed = s.pace.intervals, s.pace.missed
	st.QueueElementsMost, st.QueueBlocksMost = s.queue.elementMax, s.queue.blocksMax
	st.BitsPerSec, st.FlowBitsPerSec = s.pace.bitsPerSec(), int64(s.pace.flow.limit*WireBitsPerBlock)
	st.Elapsed = now.Sub(s.startedAt)
	if last := latest(s.activeAt, s.lastLeftAt); !s.firstAt.IsZero() && last.After(s.firstAt) {
		st.Service = last.Sub(s.firstAt)
	}
	st.Burst, st.BurstInterval, st.BurstChanges = s.pace.burst, s.pace.interval, s.pace.changes
	st.RoundTrip = s.m2.trip
	return st
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Touch counts as activity: somebody was told of the session and will join.
func (s *Session) Touch(now time.Time) {
	s.activeAt, s.met = now, true
	if !s.lastLeftAt.IsZero() {
		s.lastLeftAt = now
	}
}

// heard counts as activity: somebody is there, whatever was said of leaving.
func (s *Session) heard(now time.Time) { s.Touch(now) }

// Overrun notes that the kernel had no room for what was sent.
func (s *Session) Overrun() {
	s.stats.Overruns++
	s.pace.lossy = true
}

// TakeEvents appends the events since the last call to dst.
func (s *Session) TakeEvents(dst []Event) []Event {
	dst = append(dst, s.events...)
	clear(s.events)
	s.events = s.events[:0]
	return dst
}

func (s *Session) event(e Event) {
	if len(s.events) < eventsMax {
		s.events = append(s.events, e)
	}
}
