// Package sig is the codec of image signatures: the hashes of all blocks of an
// image, from which deltas are made and disks are checked (spec ndz, section 4).
//
// Invariant: the records of a File ascend and do not overlap. imaging/zip
// writes signatures while it makes an image, imaging/delta compares them.
package sig
