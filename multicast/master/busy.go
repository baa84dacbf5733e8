package master

import "hyzer/multicast/wire"

// Busy is the error of a Catalog whose image is being fetched: the client asks
// again, and is told what it will get.
type Busy struct {
	Signature wire.Signature
	FileBytes uint64
}

func (b *Busy) Error() string { return wire.MasterTryAgain.Error() }

// Unwrap makes it wire.MasterTryAgain.
func (b *Busy) Unwrap() error { return wire.MasterTryAgain }
