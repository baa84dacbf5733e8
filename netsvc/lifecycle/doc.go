// Package lifecycle is the parent of what decides about nodes: states (the
// tables and the pure machine), stated (runs it), wait, bootplan (what a node
// boots), load and reboot. Services ask it and never decide themselves.
package lifecycle
