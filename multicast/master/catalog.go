package master

import (
	"context"
	"errors"
	"net/netip"

	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// Image is where an image is and how it may be sent.
type Image struct {
	ID   string // the image's own name, whatever the caller called it
	Path string
	// Methods are the ways the image may be had; 0: all that the server has.
	Methods wire.Methods
	// Pace is the rate of its sessions; the zero value: that of Sessions.
	Pace server.Pace
}

// Catalog says who may have which image. An error that wraps a wire.MasterError
// is sent as that: MasterNoHost (client unknown), MasterNoImage,
// MasterNoAccess, MasterTryAgain. Any other is logged and sent as MasterFailed.
type Catalog interface {
	Lookup(ctx context.Context, client netip.Addr, imageID string) (Image, error)
}

// Proxies is a Catalog that lets some hosts ask on behalf of others, as
// subbosses do. Without it nobody may.
type Proxies interface {
	// MayProxy returns nil if caller may ask for client.
	MayProxy(ctx context.Context, caller, client netip.Addr) error
}

// masterError is what goes on the wire for an error.
func masterError(err error) wire.MasterError {
	if errors.Is(err, ErrSessionsFull) || errors.Is(err, ErrNoAddress) {
		return wire.MasterTryAgain
	}
	var code wire.MasterError
	if errors.As(err, &code) && code != wire.MasterOK {
		return code
	}
	return wire.MasterFailed
}
