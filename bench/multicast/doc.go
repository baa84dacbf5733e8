// Package multicast compares ways to bring one file to many machines, on real
// sockets: our image sessions, C frisbee, udpcast, uftp and HTTP.
//
// Each machine is a network namespace behind a port of its own, and so is the
// server; the switch between them is a bridge (package netns). Every frame is
// one packet of at most 1500 bytes, as on a wire: the server's port joins none,
// and sends no faster than the link. With loss, the switch drops each frame at
// each port it leaves by, by itself, so that it is lost in both directions and
// independently at every receiver.
//
// A result counts only if every receiver's file is equal to the image, byte for
// byte. The caller is cmd/hyzer-bench; it needs root.
package multicast
