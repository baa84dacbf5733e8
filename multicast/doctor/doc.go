// Package doctor finds out why a multicast session does not reach a node:
// the appliance's side (Examine) sends probes of several sizes and TTLs to a
// group and to the node, the node's side (Listen) answers what it hears, and
// Diagnose says from what came back, and from how the interfaces are set up,
// what is wrong and what to change.
//
// Invariants: Diagnose knows no sockets; a probe is answered by one datagram
// no longer than it; nothing is sent to who did not probe.
//
// The callers are cmd/hyzer (doctor multicast) and cmd/hyzer-node.
package doctor
