// Package zstd compresses to zstd frames (RFC 8878), for the chunks that
// imaging/zip makes. All data before a block is in memory once and is the window,
// so that nothing is copied; places are numbered with 24 bits, so that a hash
// table's entry has room for eight more bits of the hash and hardly any place is
// looked at in vain; and a block can be taken back, so that a chunk can be filled
// to its end.
//
// A finder turns a block of data into sequences, and coders those into bytes;
// literals are compressed by package huff0, which is not ours. Invariants: what
// was decoded is what was given, whatever that is, as tests and a fuzz target
// hold against a decoder that is not ours; and equal data and calls give equal
// bytes.
package zstd
