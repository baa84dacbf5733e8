// Package view reads disk images as the disks that they restore to, at random:
// an Image is one image file, a Disk a full image with the deltas over it. Free
// space reads as zeros. Data is as it is stored: relocations are not applied.
//
// Invariants: no byte of a chunk is handed out before the whole chunk was
// decoded and checked; what an Image keeps of decoded chunks is bounded by
// Options.CacheBytes, and what it is decoding by windowBytes for each caller;
// and a Disk exists only if every delta in it is for what is below it, or the
// caller wanted no proof.
//
// imaging/delta makes deltas of what it reads here, imaging/extfs reads files
// through it, and the hyzer command looks into images with it.
package view
