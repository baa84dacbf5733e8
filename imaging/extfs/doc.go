// Package extfs reads files of ext2, ext3 and ext4 file systems: directories,
// regular files of any kind of block map, inline data, symbolic links. It never
// writes, and does not replay journals.
//
// Invariant: whatever the file system says, a call ends, and with memory for no
// more than the directory or the file that it is asked for: every block number
// is held against the size of the file system, trees against their depth,
// directories against having been seen.
//
// The hyzer command lists and prints files of images with it, through
// imaging/view.
package extfs
