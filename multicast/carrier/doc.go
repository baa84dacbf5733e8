// Package carrier fetches an image by HTTP range requests: the same chunks of
// 1 MiB that a session sends, from /images/<name> of the appliance
// (docs/multicast.md, "By HTTP"). multicast/client takes to it when the session
// brings nothing.
//
// Invariants: all chunks are of one version of the file, that which the first
// request found and the caller named; a chunk that is returned agrees with the
// manifest, if the server has one. Requests, their time, their number at once
// and what is read of a reply are bounded; what breaks off in a chunk goes on
// at the byte where it broke off.
package carrier
