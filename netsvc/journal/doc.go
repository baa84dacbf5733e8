// Package journal keeps what a node's programs print, for its boot log.
//
// Invariant: what is kept is bounded in memory and on the disk, and holds the
// first and the last of what was written, with the number of bytes left out
// between them. Writing never fails and waits for nothing but the disk.
//
// Callers: netsvc/noderun, whose logs are on the disk, and netsvc/mfs, which
// has none.
package journal
