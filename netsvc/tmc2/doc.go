// Package tmc2 is the wire format of TMC2, the framed protocol for node control
// (docs/tmc2.md): frames on a stream, the messages in them, and datagrams.
//
// frame.go cuts a stream into frames, hello.go, request.go and message.go read
// and write their payloads, status.go names the codes, datagram.go is the form
// for UDP, proof.go makes proofs of identity. Everything is big-endian.
//
// Invariant: what an Append function writes, its Decode function reads back
// unchanged; decoded slices alias the input; no decoder allocates more than the
// input holds, and none looks at bytes that its caller has not got. Unknown
// TLVs are skipped, since that is how the protocol grows; unknown frame types
// are returned for the caller to skip.
//
// Callers: netsvc/tmcd answers, netsvc/tmcc/framed asks.
package tmc2
