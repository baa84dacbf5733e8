package bootfiles

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"
)

// File is one boot file opened for one transfer. Size is in bytes and fixed at
// open: a file that shrinks later makes ReadAt fail with io.EOF before Size,
// which a service reports as a failed transfer, never as a short file.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Stamped is a File that knows when its content last changed. HTTP needs it
// for Last-Modified and conditional ranges.
type Stamped interface {
	ModTime() time.Time
}

// Tagged is a File that knows its version's name, for HTTP's ETag: a quoted
// string that no other content of this name ever has.
type Tagged interface {
	ETag() string
}

// Files opens boot files by the name the client asked for, unclean as it came.
// client is the address that asked, without a zone. Errors: fs.ErrNotExist
// for a name that is not there, ErrRefused for a name or file that may not be
// served, anything else is the server's own trouble. Open is called from many
// goroutines and must return soon after ctx ends.
type Files interface {
	Open(ctx context.Context, client netip.Addr, name string) (File, error)
}

// ErrBusy says that the file will be there when it is asked for again.
var ErrBusy = errors.New("busy")

// ErrRefused says that the name or what it names may not be served, whoever
// asks: an unclean name, a folder, a device, a link that leaves the root.
var ErrRefused = errors.New("refused")
