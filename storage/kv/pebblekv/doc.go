// Package pebblekv keeps a kv.Store in a pebble database. The registry uses it
// through package kv; the appliance opens, backs up, verifies and restores it.
//
// Its invariant: a revision is shown to a reader, a watcher or the caller of
// Update only when it is durable, and then so are all before it. State, expiry
// index and history of a revision are one pebble batch, so each is there whole
// or not at all. The byte layout is in package record.
//
// Update runs its function under a turn and applies the batch; the fsync is
// awaited after the turn is passed on, and pebble syncs once for all that wait.
// After an error of the log the store is failed (kv.ErrFailed): its directory
// is frozen, reads go on from the last durable state, and it must be opened
// again. A writer that already waits for a flush when the manifest fails stays
// there, and Close with it: end the process.
package pebblekv
