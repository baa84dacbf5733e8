package ndz

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
)

// StateID names the content of a whole disk: the hash of its signature. See
// sig.File.ID.
type StateID [32]byte

func (id StateID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the state is unknown.
func (id StateID) IsZero() bool { return id == StateID{} }

// ParseStateID reads 64 hex digits.
func ParseStateID(s string) (StateID, error) {
	var id StateID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("state id %q: want %d hex digits", s, 2*len(id))
	}
	copy(id[:], b)
	return id, nil
}

// Mark says what a chunk's image is for: which state of a disk it makes, and
// for a delta out of which (docs/ndz-extensions.md). Old readers do not see it.
// The zero value is that of an image without mark.
type Mark struct {
	Delta bool
	Base  StateID // that a delta goes on top of
	State StateID // that the disk has afterwards; zero if unknown
}

// IsZero tells whether the image has no mark.
func (m Mark) IsZero() bool { return m == Mark{} }

// The mark is the end of the header area, where tables of V2 and V3 chunks
// never reach.
const (
	MarkBytes = 96
	offMark   = HeaderAreaBytes - MarkBytes

	markMagic      = ".hymark\x00"
	markLayout     = 1
	markFlagDelta  = 1 << 0
	markFlagsKnown = markFlagDelta

	markOffLayout = 8
	markOffFlags  = 10
	markOffBase   = 16
	markOffState  = 48
	markOffSum    = MarkBytes - 4
)

// markRoom tells whether a chunk can have a mark: V1 cannot, and nor can one
// whose tables, which end at byte table, reach into its place.
func markRoom(v Version, table int) bool { return v >= V2 && v <= V4 && table <= offMark }

// parseMark reads the mark of a chunk, if it has one.
func (h *Header) parseMark(chunk []byte) error {
	if !markRoom(h.Version, h.tableEnd()) || string(chunk[offMark:][:len(markMagic)]) != markMagic {
		return nil
	}
	b, le := chunk[offMark:HeaderAreaBytes], binary.LittleEndian
	if sum := crc32.ChecksumIEEE(b[:markOffSum]); sum != le.Uint32(b[markOffSum:]) {
		return faultf(offMark, "mark is damaged: checksum %#08x, want %#08x", le.Uint32(b[markOffSum:]), sum)
	}
	layout, flags := le.Uint16(b[markOffLayout:]), le.Uint16(b[markOffFlags:])
	if layout != markLayout || flags&^markFlagsKnown != 0 {
		return faultf(offMark, "mark of layout %d with flags %#x: newer than this program; update it", layout, flags)
	}
	h.Mark.Delta = flags&markFlagDelta != 0
	copy(h.Mark.Base[:], b[markOffBase:])
	copy(h.Mark.State[:], b[markOffState:])
	if h.Mark.IsZero() || h.Mark.Delta == h.Mark.Base.IsZero() {
		return faultf(offMark, "mark has a base and is no delta, or the other way round")
	}
	return nil
}

// put writes the mark into a header area.
func (m Mark) put(chunk []byte) {
	b, le := chunk[offMark:HeaderAreaBytes], binary.LittleEndian
	clear(b)
	copy(b, markMagic)
	le.PutUint16(b[markOffLayout:], markLayout)
	if m.Delta {
		le.PutUint16(b[markOffFlags:], markFlagDelta)
	}
	copy(b[markOffBase:], m.Base[:])
	copy(b[markOffState:], m.State[:])
	le.PutUint32(b[markOffSum:], crc32.ChecksumIEEE(b[:markOffSum]))
}

// AddMark writes m into the head of a finished chunk, HeaderAreaBytes of it. It
// returns false for a chunk that cannot have it any more: one of V1, one with a
// checksum over its head, or one marked already.
func AddMark(head []byte, m Mark) (bool, error) {
	h, err := ParseHeader(head)
	if err != nil {
		return false, err
	}
	if !markRoom(h.Version, h.tableEnd()) || h.Checksum != ChecksumNone || !h.Mark.IsZero() {
		return false, nil
	}
	m.put(head)
	return true, nil
}

// tableEnd is where the regions and relocations end.
func (h *Header) tableEnd() int {
	return h.relocAt(len(h.Relocs))
}
