// Package zstd compresses to zstd frames (RFC 8878), for the chunks that
// imaging/zip makes. All data before a block is in memory once and is the window,
// so that nothing is copied; places are numbered with 24 bits, so that a hash
// table's entry has room for eight more bits of the hash and hardly any place is
// looked at in vain; and a block can be taken back, so that a chunk can be filled
// to its end.
//
// A Finder turns parts of the data into sequences, and an Encoder those into
// bytes, which takes two thirds as long; literals are compressed by package huff0,
// which is not ours. What a Finder finds does not depend on what is made of it,
// so that it can be ahead, on another core: where blocks end is known later, and
// the Encoder cuts what was found there. Invariants: what was decoded is what was
// given, whatever that is, as tests and a fuzz target hold against a decoder that
// is not ours; and equal data and calls give equal bytes.
package zstd
