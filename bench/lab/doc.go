// Package lab runs a whole site: the appliance with all its services, a
// chassis, and virtual nodes that it powers.
//
// On loopback it runs without privileges, on free ports; with
// Options.Namespaces server and nodes live in network namespaces of their own,
// on the real ports. With Options.Daemon the appliance is a process of its own.
//
// Invariants: everything of a lab lies below one folder, on ports of its own
// and in a network of its own, so that labs do not meet; Close ends every
// goroutine and process and reports what went wrong while the lab ran.
//
// The callers are tests of the whole appliance; cmd/hyzer-bench joins the same
// parts by hand.
package lab
