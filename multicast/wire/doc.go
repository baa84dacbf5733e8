// Package wire is the codec of the Frisbee image distributor: the UDP packets
// of a distribution session and the TCP messages of the master server (spec
// frisbee, parts A and B).
//
// Beside it is mode 2 (docs/multicast.md): what follows a JOIN2 to negotiate it,
// what follows a BLOCK, and two packets on a port of their own. Peers that do
// not know of it ignore all of that.
//
// It is pure: bytes in, structs out, and back. Nothing here knows of sockets,
// clocks or files. Decoding allocates nothing (Block.Data aliases the
// datagram) and encoding appends to the caller's buffer. Every value that a
// decoder returns without an error is within the bounds the field has on the
// wire; bounds that depend on the image (is this chunk in range?) are checked
// by Geometry.
//
// UDP fields are little-endian, as every deployed peer sends them, except for
// IPv4 addresses, which are raw address bytes. TCP fields are big-endian.
//
// The callers are multicast/server, multicast/client and multicast/master.
package wire
