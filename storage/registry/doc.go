// Package registry holds the site: machines, systems, images, reservations,
// and each node's place in its life, as typed records on a kv store.
//
// Reads come from a Snapshot, an immutable picture in memory with indexes by
// MAC, control address, name and UUID. It is replaced atomically as durable
// transactions arrive, and shares structure with its predecessor, so a change
// costs what changed. Only a node's state is not frozen with the snapshot: it
// moves in a cell of its own, because it changes far more often than the site.
//
// Writes are transactions (Update). Invariants are checked inside the
// transaction, against what it sees: one MAC is one interface, one control
// address is one node, references lead to records that exist. Update returns
// when the change is durable and visible in Snapshot.
//
// A record that others refer to cannot be deleted. A node takes its records
// with it, but not its state log, which ends in an entry that says so.
//
// Field meanings follow the shared specs, page data-model. Every netsvc
// package reads snapshots; netsvc/lifecycle and netsvc/control write.
package registry
