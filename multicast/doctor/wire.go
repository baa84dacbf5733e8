package doctor

import (
	"encoding/binary"
	"encoding/json"
	"errors"
)

// A probe is magic, u32 number, and zeros up to its size. Its answer is magic,
// and JSON.
const (
	probeMagic     = "HYZprobe"
	answerMagic    = "HYZheard"
	probeBytesMin  = 400 // answers are no longer
	answerBytesMax = probeBytesMin
	nameBytesMax   = 15 // of an interface (IFNAMSIZ)
)

var errProbe = errors.New("not a probe or its answer")

// Answer is what a node heard of a probe, and how it is set up.
type Answer struct {
	Seq    uint32 `json:"seq"`
	Bytes  int    `json:"bytes"`
	TTL    int    `json:"ttl"`
	Group  bool   `json:"group"`  // it was sent to the group
	Iface  string `json:"iface"`  // it came in on
	Joined string `json:"joined"` // the group was joined on
	MTU    int    `json:"mtu"`    // of Joined
}

func appendProbe(dst []byte, seq uint32, size int) []byte {
	dst = binary.LittleEndian.AppendUint32(append(dst, probeMagic...), seq)
	return append(dst, make([]byte, max(0, size-len(dst)))...)
}

func parseProbe(b []byte) (seq uint32, err error) {
	if len(b) < probeBytesMin || string(b[:len(probeMagic)]) != probeMagic {
		return 0, errProbe
	}
	return binary.LittleEndian.Uint32(b[len(probeMagic):]), nil
}

func appendAnswer(dst []byte, a Answer) ([]byte, error) {
	text, err := json.Marshal(a)
	if err == nil && len(answerMagic)+len(text) > answerBytesMax {
		err = errProbe
	}
	return append(append(dst, answerMagic...), text...), err
}

// ParseAnswer decodes an answer.
func ParseAnswer(b []byte) (a Answer, err error) {
	if len(b) < len(answerMagic) || len(b) > answerBytesMax || string(b[:len(answerMagic)]) != answerMagic {
		return a, errProbe
	}
	if err := json.Unmarshal(b[len(answerMagic):], &a); err != nil {
		return a, err
	}
	if len(a.Iface) > nameBytesMax || len(a.Joined) > nameBytesMax {
		return a, errProbe
	}
	return a, nil
}
