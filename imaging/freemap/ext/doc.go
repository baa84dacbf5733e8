// Package ext finds the free space of ext2, ext3 and ext4 file systems from
// their block bitmaps (spec freemaps, section 2).
//
// Invariant: a block is free only if an intact descriptor and an intact bitmap
// say so, or if the group's bitmap was never initialised and the block belongs
// to nobody's metadata. Groups with a wrong checksum are kept whole, with a
// warning.
package ext
