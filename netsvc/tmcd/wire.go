package tmcd

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
)

// Greeting is what the first bytes of a connection or datagram say about the
// client (shared specs, page tmc2, section 1).
type Greeting int

// Greetings. GreetingMore asks for more bytes before deciding.
const (
	GreetingMore      Greeting = iota
	GreetingText               // a legacy request in clear
	GreetingFramed             // TMC2, framed messages
	GreetingTLS                // a TLS record
	GreetingLegacyTLS          // legacyTLSTag, then a TLS handshake
	GreetingUnknown            // nobody we know: close
)

const (
	framedTag    = "\xf5TM2"
	tlsRecordTag = "\x16\x03"
	// legacyTLSTag is sent by tmcc before its TLS handshake. The C server
	// took any prefix of it for the whole; no legal clear request is one.
	legacyTLSTag = "ISPEAKSSL_TMCDV10"
)

// Classify decides who calls. final says that no more bytes will come.
func Classify(first []byte, final bool) Greeting {
	for _, g := range []struct {
		tag  string
		kind Greeting
	}{{legacyTLSTag, GreetingLegacyTLS}, {framedTag, GreetingFramed}, {tlsRecordTag, GreetingTLS}} {
		if len(first) >= len(g.tag) && string(first[:len(g.tag)]) == g.tag {
			return g.kind
		}
		if !final && len(first) < len(g.tag) && g.tag[:len(first)] == string(first) {
			return GreetingMore
		}
	}
	if len(first) > 0 && first[0] >= 0x20 && first[0] < 0x7f {
		return GreetingText
	}
	return GreetingUnknown
}

// Head is the part of a legacy request that says who wants what: the tags and
// the command word. Nothing in it has been believed yet.
type Head struct {
	Version  int        // VERSION=, versionDefault if absent
	PrivKey  string     // PRIVKEY=, hex, lower case as sent
	VNode    string     // VNODEID= or PROXYFOR=
	ProxyFor bool       // the name came by PROXYFOR=: the container itself asks
	IDKey    string     // IDKEY=
	Redirect netip.Addr // REDIRECT=
	Word     []byte     // command word as sent; aliases the input
}

// Errors of ParseHead.
var (
	// ErrIncomplete asks for more bytes: the command word is not whole.
	ErrIncomplete = errors.New("tmcd: request is incomplete")
	// ErrMalformed is a request to drop: a bad tag, or no command word in
	// the first headBytesMax bytes.
	ErrMalformed = errors.New("tmcd: malformed request")
)

// Limits of names in tags; what is longer is cut, as the C server did.
const (
	nameBytesMax    = 30
	keyBytesMax     = 128
	privKeyBytesMin = 16
	versionDefault  = 2
	// versionHalfClose is the first version whose clients half-close after
	// the request, so that its end can be seen.
	versionHalfClose = 22
)

// ParseHead reads tags and the command word (shared specs, page tmcd, section
// 2). It decides only on a whole command word, which a space, a line end, a
// NUL or the end of the request closes. rest is the offset of the arguments:
// everything after the one byte that closed the word. After a NUL there are
// none, since the text is a C string. Empty words are skipped.
func ParseHead(data []byte, final bool) (head Head, rest int, err error) {
	head.Version = versionDefault
	for at := 0; ; {
		if at >= headBytesMax {
			return head, 0, ErrMalformed
		}
		end := bytes.IndexAny(data[at:], " \n\r\x00")
		switch {
		case end < 0 && !final && len(data) < headBytesMax:
			return head, 0, ErrIncomplete
		case end < 0 && !final:
			return head, 0, ErrMalformed
		case end < 0:
			end = len(data) - at
		}
		word := data[at : at+end]
		at += end
		closed := at < len(data)
		if len(word) == 0 {
			if !closed {
				return head, 0, ErrMalformed // no command
			}
			at++
			continue
		}
		isTag, err := head.tag(word)
		if err != nil {
			return head, 0, err
		}
		if !isTag {
			head.Word = word
			return head, argsOffset(data, at), nil
		}
		at++
		if at > len(data) {
			return head, 0, ErrMalformed // tags only
		}
	}
}

func argsOffset(data []byte, wordEnd int) int {
	if wordEnd >= len(data) || data[wordEnd] == 0 {
		return len(data)
	}
	return wordEnd + 1
}

// tag takes one word if it is a tag. USEUDP= is addressed to proxies; one that
// comes through has no meaning here.
func (h *Head) tag(word []byte) (isTag bool, err error) {
	name, value, ok := bytes.Cut(word, []byte("="))
	if !ok {
		return false, nil
	}
	good := true
	switch string(name) {
	case "VERSION":
		n, err := strconv.ParseInt(string(value), 10, 32)
		h.Version, good = int(n), err == nil
	case "PRIVKEY":
		h.PrivKey = clip(value, keyBytesMax)
		good = len(h.PrivKey) >= privKeyBytesMin && every(h.PrivKey, isHex)
	case "VNODEID", "PROXYFOR":
		h.VNode, h.ProxyFor = clip(value, nameBytesMax), string(name) == "PROXYFOR"
		good = h.VNode != "" && every(h.VNode, isNameByte)
	case "IDKEY":
		h.IDKey = clip(value, keyBytesMax)
		good = h.IDKey != "" && every(h.IDKey, isAlnum)
	case "REDIRECT":
		h.Redirect, err = netip.ParseAddr(string(value))
		good = err == nil && h.Redirect.Is4()
	case "USEUDP":
	default:
		return false, nil
	}
	if !good {
		return true, ErrMalformed
	}
	return true, nil
}

func clip(value []byte, bytesMax int) string {
	return string(value[:min(len(value), bytesMax)])
}

func every(s string, ok func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isNameByte(c byte) bool { return isAlnum(c) || c == '_' || c == '-' }

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
