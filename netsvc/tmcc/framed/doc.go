// Package framed is the client of TMC2, the framed protocol for node control
// (docs/tmc2.md): many requests on one connection, each executed once however
// often its connection is lost, and a boot log that is sent while it grows.
//
// conn.go is one connection, client.go asks and asks again, log.go is the live
// boot log.
//
// Invariant: Do returns a good status only for a request that the server has
// executed and made durable; a request that it repeats has the ID of the first
// try. LogWriter.Write never waits.
//
// Callers: netsvc/tmcc, which falls back to the legacy protocol on ErrLegacy.
package framed
