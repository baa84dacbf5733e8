// Package deflate compresses what is wholly in memory (RFC 1951).
//
// An Encoder makes pieces: runs of blocks that end on a byte, whose matches
// reach back into the data before them, so that pieces can be put one after the
// other into a stream. It matches in the caller's memory and copies nothing.
// Every level searches chains of equal hashes and cuts blocks where the mix of
// symbols changes; levels differ in how far they look.
//
// Invariant: what is made depends on the data, the level and the pieces alone.
// imaging/zip calls it.
package deflate
