package tmcc

import (
	"fmt"
	"strconv"
)

// VersionCurrent is the protocol version this client speaks.
const VersionCurrent = 44

// Request is what one call asks for.
type Request struct {
	VNode   string // VNODEID tag, "" for none
	PrivKey string // PRIVKEY tag
	UseUDP  bool   // USEUDP tag, for a proxy
	Version int    // 0 is VersionCurrent
	Words   []string
	Data    []byte // after the words, verbatim (-f)

	raw []byte // in place of all others: a forwarded request
}

// head is the text before the data: tags and words, each with one space after
// it, in the order of the C client.
func (r *Request) head() []byte {
	var b []byte
	tag := func(name, value string) {
		b = append(append(append(append(b, name...), '='), value...), ' ')
	}
	if r.VNode != "" {
		tag("VNODEID", r.VNode)
	}
	if r.PrivKey != "" {
		tag("PRIVKEY", r.PrivKey)
	}
	if r.UseUDP {
		tag("USEUDP", "1")
	}
	version := r.Version
	if version == 0 {
		version = VersionCurrent
	}
	tag("VERSION", strconv.Itoa(version))
	for _, word := range r.Words {
		b = append(append(b, word...), ' ')
	}
	return b
}

// Bytes is the whole request.
func (r *Request) Bytes() []byte {
	if r.raw != nil {
		return r.raw
	}
	return append(r.head(), r.Data...)
}

// legacyBytesMax is the longest request a C server reads.
const legacyBytesMax = 32767

// Shortened is the request for a server that takes legacyBytesMax: the data's
// head and tail, with what was cut between them. ok is false if it fits whole.
func (r *Request) Shortened() (request []byte, ok bool) {
	head := r.head()
	if len(head)+len(r.Data) <= legacyBytesMax {
		return nil, false
	}
	note := func(n int) string { return fmt.Sprintf("\n[%d bytes cut]\n", n) }
	room := max(legacyBytesMax-len(head)-len(note(len(r.Data))), 0)
	first := room / 2
	last := room - first
	b := append(head, r.Data[:first]...)
	b = append(b, note(len(r.Data)-room)...)
	return append(b, r.Data[len(r.Data)-last:]...), true
}
