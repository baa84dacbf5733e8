package record

import (
	"encoding/binary"
	"fmt"
)

// State is what is stored for a key.
type State struct {
	Expiring bool
	Deadline int64 // Unix milliseconds, 0 unless Expiring
	Value    []byte
}

const (
	tagPlain    = 0x00
	tagExpiring = 0x01
)

// AppendState appends the encoding of s.
func AppendState(dst []byte, s State) []byte {
	if !s.Expiring {
		return append(append(dst, tagPlain), s.Value...)
	}
	dst = binary.BigEndian.AppendUint64(append(dst, tagExpiring), uint64(s.Deadline)^signBit)
	return append(dst, s.Value...)
}

// DecodeState decodes one state value. Value aliases b and is not nil.
func DecodeState(b []byte) (State, error) {
	switch {
	case len(b) >= 1 && b[0] == tagPlain:
		return State{Value: b[1:]}, nil
	case len(b) >= 1+deadlineBytes && b[0] == tagExpiring:
		return State{Expiring: true, Deadline: decodeDeadline(b[1:]), Value: b[1+deadlineBytes:]}, nil
	}
	return State{}, fmt.Errorf("%w: state of %d bytes", ErrCorrupt, len(b))
}
