// Package btrfs finds the free space of btrfs file systems on one device: what
// no chunk has, and what of the chunks no extent has.
//
// Free space is what is left of the device when the copies of all extents in
// the extent tree, the first MiB and the copies of the superblock are taken
// out; neither the cache of free space nor the free space tree is believed.
//
// Invariants: every tree block that is read has the right checksum, owner
// file system, address, generation, level and order of keys; the extents add
// up to what the superblock counts; chunks are single or DUP on this device;
// and there is no log of fsync to replay. Anything else is kept whole.
// imaging/zip calls it.
//
// The layout is that of "On-disk Format" in the btrfs documentation
// (btrfs.readthedocs.io).
package btrfs
