package client

import "context"

// Fetcher gets chunks by another way than the session, such as HTTP range
// requests (package multicast/carrier).
type Fetcher interface {
	// FetchChunk fills into, which is as long as the chunk, or says why it
	// cannot. It is called from several goroutines at once. It has tried again
	// what may pass by itself: an error ends the load, unless it wraps
	// ErrBadChunk or the session still brings the chunk.
	FetchChunk(ctx context.Context, chunk int, into []byte) error
}
