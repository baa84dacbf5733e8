package tftp

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"hyzer/netsvc/bootfiles"
)

// Option names this package knows (RFC 2348, 2349, 7440).
const (
	optionBlockBytes = "blksize"
	optionTimeout    = "timeout"
	optionSize       = "tsize"
	optionWindow     = "windowsize"
)

const (
	blockBytesDefault = 512   // RFC 1350
	blockBytesMin     = 8     // RFC 2348
	blockBytesMax     = 65464 // RFC 2348
	timeoutSecondsMin = 1     // RFC 2349
	timeoutSecondsMax = 255   // RFC 2349
)

// terms is what one transfer runs on after negotiation.
type terms struct {
	blockBytes int
	window     int           // blocks
	timeout    time.Duration // negotiated retransmit time; 0: adaptive
	fileBytes  int64
	asksSize   bool     // tsize was asked: the request may be a probe
	accepted   []Option // the OACK; none: start with DATA
}

// offer is what the server is willing to do for one client.
type offer struct {
	blockBytesMax int
	windowMax     int
}

// negotiate answers the options of a read request for a file of size bytes
// (RFC 2347). An option with a value outside its RFC's range is left out of the
// OACK as if unknown, one beyond our own limit is lowered. Repeated options
// count once. The order and the spelling of names are the client's.
func negotiate(asked []Option, size int64, o offer) terms {
	t := terms{blockBytes: blockBytesDefault, window: 1, fileBytes: size}
	seen := map[string]bool{}
	for _, option := range asked {
		name := strings.ToLower(option.Name)
		if seen[name] {
			continue
		}
		seen[name] = true
		if value, ok := t.accept(name, option.Value, o); ok {
			t.accepted = append(t.accepted, Option{Name: option.Name, Value: value})
		}
	}
	return t
}

func (t *terms) accept(name, value string, o offer) (string, bool) {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return "", false
	}
	switch name {
	case optionBlockBytes:
		if n < blockBytesMin {
			return "", false
		}
		t.blockBytes = int(min(n, blockBytesMax, uint64(o.blockBytesMax)))
		return strconv.Itoa(t.blockBytes), true
	case optionWindow:
		if n < 1 {
			return "", false
		}
		t.window = int(min(n, uint64(o.windowMax)))
		return strconv.Itoa(t.window), true
	case optionTimeout:
		if n < timeoutSecondsMin || n > timeoutSecondsMax {
			return "", false
		}
		t.timeout = time.Duration(n) * time.Second
		return strconv.FormatUint(n, 10), true
	case optionSize:
		t.asksSize = true
		return strconv.FormatInt(t.fileBytes, 10), true
	}
	return "", false
}

// refusal is an ERROR packet's content: a code and one of our fixed texts.
type refusal struct {
	code Code
	text string
}

func (r refusal) packet() []byte {
	return Packet{Op: OpError, Code: r.code, Message: r.text}.Append(nil)
}

// screen decides what can be decided before the file is looked for.
func screen(p Packet, parseErr error) (refusal, bool) {
	switch mode := strings.ToLower(p.Mode); {
	case p.Op == OpWRQ:
		return refusal{CodeAccess, "this server is read only"}, true
	case parseErr != nil:
		return refusal{CodeIllegal, "malformed request"}, true
	case mode != modeOctet && mode != modeNetascii:
		return refusal{CodeIllegal, "mode must be octet or netascii"}, true
	}
	return refusal{}, false
}

// refuseOpen turns the error of Files.Open into what the client may know.
func refuseOpen(err error) refusal {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refusal{CodeNotFound, "file not found"}
	case errors.Is(err, bootfiles.ErrRefused), errors.Is(err, fs.ErrPermission):
		return refusal{CodeAccess, "access violation"}
	case errors.Is(err, errNetasciiBytes):
		return refusal{CodeIllegal, "file too large for netascii, use octet mode"}
	}
	return refusal{CodeUndefined, "server error"}
}

// isProbe tells a client that only wanted the size (EDK2 asks tsize, takes the
// OACK and sends ERROR 8; others send 0) from one that gave up.
func isProbe(t terms, blocksAcked uint64, code Code) bool {
	return t.asksSize && blocksAcked == 0 && (code == CodeOptionDenied || code == CodeUndefined)
}
