// Package bloblog keeps the boot logs of nodes on a kv store: for each node
// the last few boots, each a text that grows by appended chunks.
//
// Invariants: Append returns only after the text up to the offset it returns is
// durable, and appending the same bytes again changes nothing, so a sender that
// lost its connection or its server goes on from the durable offset with no gap
// and nothing twice. A log's kept bytes are its head and its tail, and it knows
// its true length and what was cut. No log and no node can hold more than
// Limits says.
//
// Layout, all below "blog/": "blog/<node>/<boot>/c/<offset>" is a chunk of text,
// "blog/<node>/<boot>/m" the record of the log; boot and offset are 16 hex
// digits, so that keys sort as numbers.
//
// Callers: netsvc/tmcd writes; netsvc/control and lifecycle read.
package bloblog
