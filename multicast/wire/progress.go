package wire

import "encoding/binary"

// Bits of Progress.What (A4).
const (
	WhatSummary uint16 = 1 << 0
	WhatStats   uint16 = 1 << 1
)

// Progress is the body of PROGRESS: the server's request for reports, and a
// client's report.
type Progress struct {
	ClientID uint32
	Who      [4]byte // address reported for; zero in a request
	When     uint32  // request: seconds between reports, 0 = once, now; report: unix time
	What     uint16  // WhatSummary, WhatStats
	Seq      uint16
	Summary  Summary // only in a report whose What is not 0
	Stats    Stats   // zero unless What has WhatStats
}

// Summary is how far a client has come.
type Summary struct {
	ChunksIn  uint32 // chunks received
	ChunksOut uint32 // chunks written
	BytesOut  uint64
}

// carriesSummary says whether the long form of the body is used.
func (m *Progress) carriesSummary(t Type) bool { return t == Reply && m.What != 0 }

// ParseProgress decodes the body of a PROGRESS of type t into m.
func ParseProgress(m *Progress, t Type, body []byte) error {
	if len(body) < progressBodyBytes {
		return ErrShort
	}
	*m = Progress{
		ClientID: u32(body, 0),
		Who:      [4]byte(body[4:8]),
		When:     u32(body, 8),
		What:     binary.LittleEndian.Uint16(body[12:]),
		Seq:      binary.LittleEndian.Uint16(body[14:]),
	}
	if !m.carriesSummary(t) {
		return nil
	}
	if len(body) < reportBodyBytes {
		return ErrShort
	}
	m.Summary = Summary{u32(body, 16), u32(body, 20), binary.LittleEndian.Uint64(body[24:])}
	m.Stats = parseStats(body[32:])
	return nil
}

// Append adds the packet, of type t from src, to dst.
func (m *Progress) Append(dst []byte, t Type, src [4]byte) []byte {
	n := progressBodyBytes
	if m.carriesSummary(t) {
		n = reportBodyBytes
	}
	dst = appendHeader(dst, t, SubProgress, n, src)
	dst = le32(dst, m.ClientID)
	dst = append(dst, m.Who[:]...)
	dst = le32(dst, m.When)
	dst = binary.LittleEndian.AppendUint16(dst, m.What)
	dst = binary.LittleEndian.AppendUint16(dst, m.Seq)
	if n == progressBodyBytes {
		return dst
	}
	dst = le32(dst, m.Summary.ChunksIn)
	dst = le32(dst, m.Summary.ChunksOut)
	dst = binary.LittleEndian.AppendUint64(dst, m.Summary.BytesOut)
	return m.Stats.append(dst)
}
