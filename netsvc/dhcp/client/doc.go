// Package client is the DHCP client of programs that run on nodes, such as the
// memory file system: it gets an address for one interface and renews it.
//
// Message and ReadLease are the pure codec; Acquire and Renew are the shell.
// The firmware's side of DHCP, with all that PXE adds, is not here: virtual
// nodes have their own, so that a fault of this one cannot hide one of the
// server.
//
// Invariants: a lease is taken only from the server whose offer was chosen and
// only for the transaction that asked; every wait has an end.
//
// The callers are netsvc/mfs and its tests.
package client
