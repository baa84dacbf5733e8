// Package unzip restores disk images to files, block devices and streams.
//
// A Writer takes chunks in any order from any goroutine, as a multicast client
// gets them; File feeds it from an image file on all cores; Stream restores to
// something that cannot seek.
//
// Invariants: every write is positioned, so no two can disturb each other;
// nothing is written of a delta with a mark before its base was checked, and
// nothing of a chunk before the whole chunk was inflated and checked; an image
// that does not fit its target, or whose chunks do not make one image, fails
// before the first write if it can be seen whole (File), else at the chunk that
// shows it; Close returns only after one fsync. Memory is bounded by
// Options.Workers times ndz.DataBufferBytesMax and a chunk.
package unzip
