// Package lab runs a whole site in one process, on loopback and without
// privileges: the appliance with all its services, a chassis, and virtual nodes
// that it powers.
//
// Invariants: everything of a lab lies below one folder, on ports of its own
// and in a network of loopback addresses of its own, so that labs do not meet;
// Close ends every goroutine and reports what went wrong while the lab ran.
//
// The callers are tests of the whole appliance; cmd/hyzer-bench joins the same
// parts by hand.
package lab
