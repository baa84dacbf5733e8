// Package stated runs the state machine (package states) over the registry.
//
// Every report, command and time-out is one transaction: it reads the node's
// records, steps the machine, and writes the new state, its log entry, the
// deadline, the command and what else follows (a load that is done, a node that
// is free). Report returns when that is durable and in the snapshot, so a node
// that was told "done" finds every service agreeing with it.
//
// What has to be done outside the store (reboots, pings, scripts) is written in
// the same transaction as an errand, run by workers, and removed when done. A
// crash repeats an errand; it never forgets one. Nothing external runs inside a
// transaction.
//
// A report of what a node was told may come behind an order that was given after
// the node was told. Expect announces such reports, so that orders wait for them;
// what comes later than that is sorted by the revisions of the two.
//
// Reboots and scripts run on one pool of workers, probes on another, each
// node's in order. An errand that events have overtaken (the node came up by
// itself) is dropped. When the machine gives a node up, or its power does not
// come back, the node's log gets an entry that says so, for those who wait.
//
// Deadlines live in the node's record and command time-outs in the command's;
// the timer heap is only a copy, made again at start.
//
// Services report through Runner.Report; load, control and the command line
// through Command and Select.
package stated
