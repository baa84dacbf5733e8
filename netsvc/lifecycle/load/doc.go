// Package load puts disk images on nodes: it plans a load in one transaction,
// reboots the nodes into the disk loader, and follows each to its end (shared
// specs, page load).
//
// A load is a LoadJob record and a LoadNode record for each node, written with
// everything that the load changes (what the node boots, its partition table,
// its NodeLoad). So a crash in the middle loses nothing: Run takes up every
// open job where its records say it is, waiting from the revision that the
// attempt began at.
//
// Each attempt orders its node's reboot once: the order and the note of it are one
// transaction. A node that has asked what to boot since its load was planned is
// on its way, and is not rebooted.
//
// What a node says counts from the moment it has gone down for its attempt:
// before that it speaks of its former life, or of the load that this one
// replaced.
//
// A node ends early, without a retry, when its loaded system fails to boot; it
// is tried once more when the load itself fails or takes too long.
package load
