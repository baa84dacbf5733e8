package server

import (
	"math"
	"slices"
	"time"

	"hyzer/multicast/wire"
)

const (
	// askedMemory is how many chunks the mean of a client's loss is over.
	askedMemory = 8
	// askedLag is how many chunks that have passed a client may not yet have said
	// anything of; of those before it lost nothing. Of so many its first request
	// is known from its later ones, too.
	askedLag = 16
	// askedRecent is the silence after which a client's loss is no longer known.
	askedRecent = 2 * time.Second
)

// asked is what one client lost, by what it asks for by number: of a chunk that
// has passed as a whole its first request names what it lost of it. Later ones
// do not say how much of the repair was lost, for the repair is for others, too.
type asked struct {
	chunks [askedLag]uint32 // asked for lately, and 1
	next   int
	share  float64 // mean loss
	begun  bool
	passes uint64 // of the session, at the latest request
	silent uint64 // of those, of which it said nothing
	at     time.Time
}

// note takes a request for that share of a chunk, after so many passes of
// chunks.
func (a *asked) note(now time.Time, chunk uint32, share float64, passes uint64) {
	if slices.Contains(a.chunks[:], chunk+1) {
		return
	}
	a.chunks[a.next%askedLag] = chunk + 1
	a.next++
	if !a.begun { // it may have joined in the middle of this one
		a.begun, a.passes, a.at = true, passes, now
		return
	}
	a.share, a.silent = a.mean(passes)
	if a.passes, a.at = passes, now; a.silent > 0 {
		a.silent--
	}
	a.share += (share - a.share) / float64(min(a.next-1, askedMemory))
}

// mean is the share after so many passes, and of how many of them nothing was
// heard that might be.
func (a *asked) mean(passes uint64) (share float64, silent uint64) {
	silent = a.silent + passes - a.passes
	if silent <= askedLag {
		return a.share, silent
	}
	return a.share * math.Pow(1-1./askedMemory, float64(silent-askedLag)), askedLag
}

// loss is what the client loses at present.
func (a *asked) loss(now time.Time, passes uint64) wire.Loss {
	if !a.begun || now.Sub(a.at) > askedRecent {
		return 0
	}
	share, _ := a.mean(passes)
	return wire.Loss(share * (1 << 16))
}
