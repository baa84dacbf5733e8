// Package wait waits for nodes to pass through states (shared specs, page
// statewait, section 5).
//
// A waiter reads the state log from a revision that its caller took before it
// acted, so no step can be missed and no stale state can match. Each node gets
// exactly one Result: reached, failed, timeout or cancelled; results come as
// they happen. Nothing polls. A node that was given up or deleted has failed.
//
// load and control (for `hyzer wait`) call it.
package wait
