package wire

import "encoding/binary"

// StatsBytes is the length of the statistics record on the wire; all but its
// first 128 bytes are zero (A4).
const StatsBytes = 1028

// statsVersion is the only version there is.
const statsVersion = 1

// Stats is the record a client sends with LEAVE2 and, when asked, in its
// reports. Names are the C client's, units are in the name where they are not
// a count.
type Stats struct {
	Version        int32
	RunSec         int32
	RunMsec        int32
	DelayMS        int32
	RealBytes      uint64 // data written
	EffectiveBytes uint64 // data written, zeroed or skipped
	ChunkBufs      uint32
	MaxReadAhead   uint32
	MaxInProgress  uint32
	PktTimeoutUS   uint32
	StartDelay     uint32
	IdleTimer      uint32
	IdleDelayUS    uint32
	RedoDelayUS    uint32
	Randomize      uint32
	NoChunksReady  uint32
	NoFreeChunks   uint32
	DupChunk       uint32 // blocks of finished chunks
	DupBlock       uint32
	PRequests      uint32
	RecvIdles      uint32
	JoinAttempts   uint32
	Requests       uint32 // PREQUESTs included
	DecompBlocks   uint32
	WriterIdles    uint32
	WriteBufMemMB  uint32
	LostBlocks     uint32 // blocks asked for in PREQUESTs
	ReRequests     uint32
	PartialDrops   uint32
	FullReRequests uint32
}

// counters lists the 32-bit fields after the two byte counts, in wire order.
func (s *Stats) counters() [24]*uint32 {
	return [24]*uint32{
		&s.ChunkBufs, &s.MaxReadAhead, &s.MaxInProgress, &s.PktTimeoutUS, &s.StartDelay, &s.IdleTimer,
		&s.IdleDelayUS, &s.RedoDelayUS, &s.Randomize, &s.NoChunksReady, &s.NoFreeChunks, &s.DupChunk,
		&s.DupBlock, &s.PRequests, &s.RecvIdles, &s.JoinAttempts, &s.Requests, &s.DecompBlocks,
		&s.WriterIdles, &s.WriteBufMemMB, &s.LostBlocks, &s.ReRequests, &s.PartialDrops, &s.FullReRequests,
	}
}

const statsCountersOffset = 32

// parseStats decodes b, which is at least StatsBytes long.
func parseStats(b []byte) Stats {
	s := Stats{
		Version:        int32(u32(b, 0)),
		RunSec:         int32(u32(b, 4)),
		RunMsec:        int32(u32(b, 8)),
		DelayMS:        int32(u32(b, 12)),
		RealBytes:      binary.LittleEndian.Uint64(b[16:]),
		EffectiveBytes: binary.LittleEndian.Uint64(b[24:]),
	}
	for i, field := range s.counters() {
		*field = u32(b, statsCountersOffset+4*i)
	}
	return s
}

func (s *Stats) append(dst []byte) []byte {
	start := len(dst)
	dst = le32(dst, uint32(s.Version))
	dst = le32(dst, uint32(s.RunSec))
	dst = le32(dst, uint32(s.RunMsec))
	dst = le32(dst, uint32(s.DelayMS))
	dst = binary.LittleEndian.AppendUint64(dst, s.RealBytes)
	dst = binary.LittleEndian.AppendUint64(dst, s.EffectiveBytes)
	for _, field := range s.counters() {
		dst = le32(dst, *field)
	}
	var zeros [StatsBytes]byte
	return append(dst, zeros[:StatsBytes-(len(dst)-start)]...)
}

// NewStats returns an empty record of the current version.
func NewStats() Stats { return Stats{Version: statsVersion} }
