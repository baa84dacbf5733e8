// Package tmcc is the node's side of tmcd: a client library and the command
// tmcc with the options, files, retries and exit status of Emulab's (shared
// specs, page tmcd, section 6).
//
// request.go writes the request text, client.go makes one exchange, options.go
// and files.go are the command line and what it finds on the node, proxy.go is
// the server that containers on a host ask. Main joins them.
// framed.go asks by TMC2 first (docs/tmc2.md) and falls back to text, over UDP
// in datagram.go; key.go is what the node proves with who it is.
//
// Invariant: Do returns nil only if the server ended its reply cleanly, that
// is, after it has made everything durable that the request asks for.
//
// A boot log of any size is sent whole. A C server takes 32 KB and resets the
// connection; it then gets the head and the tail with the number of bytes cut
// between them, which replaces the head it had stored.
//
// Callers: cmd/hyzer-node, and tests and the load harness as virtual nodes.
package tmcc
