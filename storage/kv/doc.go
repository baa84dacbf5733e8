// Package kv is the contract of the revisioned store under the registry.
//
// A store holds ordered keys. Every transaction that changes something has a
// Revision, is atomic, and is acknowledged only after it is durable; readers
// and watchers see only durable revisions. Watchers get every change after a
// revision once and in order, or ErrCompacted.
//
// Package kvtest holds the suite that every backend must pass; pebblekv is the
// backend the appliance runs on. The registry is the only caller.
package kv
