// Package sig is the codec of image signatures: the hashes of all blocks of an
// image, from which deltas are made and disks are checked (spec ndz, section 4).
// HashAll is how anything hashes the blocks of a disk.
//
// Invariants: the records of a File ascend and do not overlap; no more than
// heldBytesMax of them are in memory, and nobody needs more than a Cursor to go
// through them. imaging/zip writes signatures while it makes an image,
// imaging/delta compares them, imaging/view and imaging/unzip hold disks against
// them.
package sig
