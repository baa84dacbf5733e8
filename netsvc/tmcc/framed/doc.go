// Package framed is the client of TMC2, the framed protocol for node control
// (docs/tmc2.md): many requests on one connection, each executed once however
// often its connection is lost, a boot log that is sent while it grows, and a
// watch for what changes for the node.
//
// conn.go is one connection, proof.go proves who asks on it, client.go asks and
// asks again, log.go is the live boot log, watch.go the watch, datagram.go asks
// over UDP.
//
// Invariant: Do returns a good status only for a request that the server has
// executed and made durable; a request that it repeats has the ID of the first
// try. LogWriter.Write never waits.
//
// Callers: netsvc/tmcc, which falls back to the legacy protocol on ErrLegacy,
// and netsvc/noderun for the log and the watch.
package framed
