package tftp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"hyzer/netsvc/bootfiles"
)

// Transfer modes (RFC 1350 section 1), compared without case. "mail" is gone.
const (
	modeOctet    = "octet"
	modeNetascii = "netascii"
)

// netasciiBytesMax bounds a file served in netascii: its translation is held
// in memory. Only people with old clients ask for it, for small text files.
const netasciiBytesMax = 256 << 10

var (
	errNetasciiBytes = errors.New("file too large for netascii")
	errFileShrank    = errors.New("file shrank while it was served")
)

// translated is a small file in netascii (RFC 764: LF is CR LF, CR is CR NUL).
type translated struct{ *bytes.Reader }

func (translated) Close() error { return nil }

// netascii replaces f by its translation and closes it.
func netascii(f bootfiles.File) (bootfiles.File, error) {
	defer f.Close()
	if f.Size() > netasciiBytesMax {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", errNetasciiBytes, f.Size(), netasciiBytesMax)
	}
	raw := make([]byte, f.Size())
	if err := readFull(f, raw, 0); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(raw)+len(raw)/16)
	for _, c := range raw {
		switch c {
		case '\n':
			out = append(out, '\r', '\n')
		case '\r':
			out = append(out, '\r', 0)
		default:
			out = append(out, c)
		}
	}
	return translated{bytes.NewReader(out)}, nil
}

// readFull fills p from offset off. io.ReaderAt may report io.EOF along with
// the last byte; fewer bytes than p mean that the file shrank since its open.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w at byte %d: it must be replaced by rename, not rewritten", errFileShrank, off+int64(n))
	}
	return err
}

func isNetascii(mode string) bool { return strings.EqualFold(mode, modeNetascii) }
