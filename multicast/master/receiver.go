package master

import (
	"context"
	"io"
	"net/netip"
	"time"
)

// Target is an image that a client may write.
type Target struct {
	ID string // the image's own name, whatever the client called it
	// Path is the file of the present version, "" if there is none. It is told
	// of, and never written to.
	Path string
	// BytesMax bounds the new version; 0: as the server's configuration.
	BytesMax int64
}

// Receiver says who may write which image, and takes what is written. Errors
// count as in Catalog.
type Receiver interface {
	// Target says whether client may write an image.
	Target(ctx context.Context, client netip.Addr, imageID string) (Target, error)
	// Create begins a new version. Nothing that exists changes before Commit.
	Create(ctx context.Context, client netip.Addr, target Target) (Incoming, error)
}

// Incoming is a version that is being written, in the order of its bytes. It
// is ended by one call of Commit or Abort.
type Incoming interface {
	io.Writer
	// Commit checks what was written and makes it the image's newest version,
	// durably and at once, or leaves everything as it was. A zero mtime is now.
	Commit(ctx context.Context, mtime time.Time) error
	// Abort forgets what was written.
	Abort() error
}
