// Package exfat finds the free space of exFAT file systems from their
// allocation bitmap ("exFAT file system specification", Microsoft).
//
// Invariant: nothing is free unless the boot sectors have the right checksum,
// the volume is not marked dirty, and the bitmap has its own clusters and
// those of the root directory in use. imaging/zip calls it.
package exfat
