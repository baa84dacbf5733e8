// Package xfs finds the free space of XFS file systems, versions 4 and 5, from
// the by-block-number free space trees of their allocation groups.
//
// Invariants: nothing is free unless the log ends with the record of an
// unmount, because free space is stale before the log is replayed; and an
// allocation group has free space only if the records of its tree are in
// order, keep off its headers and the log, and add up to what its header
// counts. Blocks of the free list (AGFL) are set aside for the trees, so they
// are kept. imaging/zip calls it.
//
// The layout is that of "XFS Algorithms & Data Structures" (kernel.org).
package xfs
