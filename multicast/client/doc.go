// Package client is the receiving side of Frisbee: it joins a session, asks
// for what it lacks, uses every block that passes no matter who asked for it,
// and hands each complete chunk to a Sink (spec frisbee A6).
//
// Reception is the pure machine: datagrams and the time go in; datagrams,
// complete chunks and the time of the next deadline come out. Run is the thin
// shell around it: one goroutine owns the sockets and the machine, a few feed
// the sink.
//
// It asks again earlier than the C client, which waits for 90 ms of idleness:
// a server sends what is asked for in order, so a block of another chunk, or
// the last block asked for, shows that a chunk's pass is over. And it keeps
// more chunks asked for, so that repairs do not leave the server idle.
//
// In mode 2, if the server grants it, it asks for a number of parity blocks
// instead of for blocks by name, is silent if another client asks for as many,
// and takes no block that is not of the version of the image that it began
// with (package fec, docs/multicast.md).
//
// Invariants: memory is bounded by the number of chunk buffers; only packets
// from the server's own address count; every wait has an end.
//
// The callers are the node tools (frisbee) and the tests of the server.
package client
