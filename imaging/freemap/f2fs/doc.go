// Package f2fs finds the free space of F2FS file systems: the blocks of the
// main area that the segment information table, with its journal in the
// checkpoint, does not call valid.
//
// Invariants: the newer of the two checkpoints that are whole is taken, both
// ends of it have the right checksum; it was written by an unmount, so no log
// of fsync is to be replayed; each bitmap has as many bits as its counter says,
// and all together no more than the checkpoint. Everything outside the main
// area is kept. Anything else is kept whole. imaging/zip calls it.
//
// The layout is that of "Flash-Friendly File System" in the kernel's
// documentation (docs.kernel.org/filesystems/f2fs.html).
package f2fs
