package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"hyzer/storage/kv"
)

// FormatVersion is the layout this package reads and writes.
const FormatVersion = 1

// First bytes of the four key spaces.
const (
	SpaceState   = 'd'
	SpaceHistory = 'h'
	SpaceMeta    = 'm'
	SpaceExpiry  = 'x'
)

// ErrCorrupt is returned for bytes that no encoder of this package wrote.
var ErrCorrupt = errors.New("pebblekv: corrupt record")

const (
	formatMagic    = "hyzer-kv"
	deadlineBytes  = 8
	revisionBytes  = 8
	signBit        = 1 << 63
	expiryKeyFixed = 1 + deadlineBytes
)

// FormatKey is where the format version is stored.
func FormatKey() []byte { return []byte("mformat") }

// FloorKey is where the newest forgotten revision is stored.
func FloorKey() []byte { return []byte("mfloor") }

// Format is the value of FormatKey.
func Format(version uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(formatMagic), version)
}

// DecodeFormat returns the version in the value of FormatKey.
func DecodeFormat(b []byte) (uint32, error) {
	if len(b) != len(formatMagic)+4 || string(b[:len(formatMagic)]) != formatMagic {
		return 0, fmt.Errorf("%w: format marker %q", ErrCorrupt, b)
	}
	return binary.BigEndian.Uint32(b[len(formatMagic):]), nil
}

// Floor is the value of FloorKey.
func Floor(rev kv.Revision, total uint64) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 2*revisionBytes), uint64(rev))
	return binary.BigEndian.AppendUint64(b, total)
}

// DecodeFloor splits the value of FloorKey.
func DecodeFloor(b []byte) (rev kv.Revision, total uint64, err error) {
	if len(b) != 2*revisionBytes {
		return 0, 0, fmt.Errorf("%w: history floor of %d bytes", ErrCorrupt, len(b))
	}
	return kv.Revision(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[revisionBytes:]), nil
}

// AppendStateKey appends the key under which the state of key is stored.
func AppendStateKey(dst, key []byte) []byte {
	return append(append(dst, SpaceState), key...)
}

// AppendHistoryKey appends the key of the history record of rev.
func AppendHistoryKey(dst []byte, rev kv.Revision) []byte {
	return binary.BigEndian.AppendUint64(append(dst, SpaceHistory), uint64(rev))
}

// DecodeHistoryKey returns the revision in a history key.
func DecodeHistoryKey(b []byte) (kv.Revision, error) {
	if len(b) != 1+revisionBytes || b[0] != SpaceHistory {
		return 0, fmt.Errorf("%w: history key %x", ErrCorrupt, b)
	}
	return kv.Revision(binary.BigEndian.Uint64(b[1:])), nil
}

// AppendExpiryKey appends the index key that says key is deleted at deadline
// (Unix milliseconds).
func AppendExpiryKey(dst []byte, deadline int64, key []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, SpaceExpiry), uint64(deadline)^signBit)
	return append(dst, key...)
}

// DecodeExpiryKey splits an expiry index key. key aliases b.
func DecodeExpiryKey(b []byte) (deadline int64, key []byte, err error) {
	if len(b) < expiryKeyFixed || b[0] != SpaceExpiry {
		return 0, nil, fmt.Errorf("%w: expiry key %x", ErrCorrupt, b)
	}
	return decodeDeadline(b[1:]), b[expiryKeyFixed:], nil
}

func decodeDeadline(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ signBit) }
