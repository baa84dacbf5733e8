// Package zstd compresses to zstd frames (RFC 8878), for imaging/zip, about a
// third faster than the general encoder that is there for other levels: all
// data before a block is in memory and is the window, so that nothing is
// copied; places are numbered with 24 bits, so that a hash table's entry has
// room for eight more bits of the hash and hardly any place is looked at in
// vain; and it makes nothing but blocks, as many as the caller has room for.
//
// A finder turns a block of data into sequences, and a coder those into bytes.
// Invariants: what was decoded is what was given, whatever that is, as tests
// and the fuzz target hold against a decoder that is not ours; and equal data
// and calls give equal bytes.
package zstd
