// Package inflate decodes the zlib streams of chunks (RFC 1950, 1951), which are
// wholly in memory: that is what makes it faster than a decoder of streams.
//
// Invariants: what it is given to write to is all that it writes to; a stream is
// right only if it ends where its payload does, is as long as the caller says,
// and has the Adler-32 sum of what it made. It is the other half of
// imaging/internal/deflate; imaging/ndz and imaging/v5 call it.
package inflate
