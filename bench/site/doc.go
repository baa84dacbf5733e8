// Package site makes a site for virtual nodes: the registry's records for N
// machines, the boot files they fetch, and a real disk image, an ext4 file
// system with real files in it, together with the means to tell whether a disk
// holds exactly that image.
//
// Invariants: the same options make the same records and, from the same files,
// an image of the same files (times of inodes differ). The content of an image is known from the file that
// mke2fs wrote, not from anything of ours that has read or written an image.
//
// The callers are tests of the whole appliance and cmd/hyzer-bench.
package site
