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
// After an error of the log, the manifest or the directory the store is failed
// (kv.ErrFailed, Store.Failed): its directory is frozen, reads go on from the
// last durable state, and it must be opened again. An error of a table is
// retried until it succeeds, with writers waiting once the memtables are full;
// it fails the store only if Close comes meanwhile.
package pebblekv
