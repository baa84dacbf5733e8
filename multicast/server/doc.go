// Package server is the sending side of Frisbee: one session sends one file,
// once, to every client that asks, and repeats only what was lost (spec
// frisbee A5).
//
// Session is the pure machine: datagrams and the time go in, datagrams and
// ranges of blocks to send come out. It has no clock, socket or file, so a
// test runs it in virtual time. Server is the thin shell around it: one
// goroutine reads the socket, one sends, and one reads the file ahead of it, as
// the session says what is next.
//
// Clients that offer mode 2 are also served by parity blocks, as many as the
// one that lacks most needs, on a port of its own (package fec,
// docs/multicast.md). Until one does, every byte is as without.
//
// Invariants: what strangers send costs a bounded amount of work and memory
// (the queue holds at most two elements per chunk and queueElementsMax in
// all, the roster clientsMax clients, a reply is never longer than its
// request); blocks leave no faster than the configured rate; all blocks of a
// session come from one unchanged version of the file.
//
// The callers are multicast/master, which runs a session per image, and the
// node tools.
package server
