// Package record is the byte layout of everything pebblekv writes: keys of its
// four spaces, state values and history records. It is pure: bytes in, bytes
// out. Decoders accept exactly what the encoders write, so that a record has
// one form only, and take memory in proportion to their input, whatever counts it
// claims.
//
// Layout, format version 1. Integers are big-endian unless called uvarint.
//
//	space    key                              value
//	meta     'm' "format"                     "hyzer-kv" version:u32
//	meta     'm' "floor"                      revision:u64 total:u64
//	state    'd' key                          0x00 value
//	                                          0x01 deadline:u64 value
//	expiry   'x' deadline:u64 key             (empty)
//	history  'h' revision:u64                 total:uvarint count:uvarint change...
//
//	change   flags:u8 keyLen:uvarint key [valueLen:uvarint value]
//	flags    0x00 put, 0x01 deleted, 0x03 deleted because it expired
//
// A deadline is Unix milliseconds with its sign bit flipped, so that byte order
// is time order. The changes of a record are in strictly ascending key order.
// total is the sum of HistorySize over all revisions up to this one: the
// difference of two totals is the size of the history between them, which lets
// retention find its cut by bisection. floor is the newest revision whose
// history is gone, and its total. Blocks and log records are checksummed by
// pebble below this layer.
package record
