// Package delta makes deltas between images and puts images and deltas
// together (spec ndz, section 5).
//
// A delta is an ordinary image of what changed; it is applied by restoring it
// over the restored base, without zero-fill. Those made here are marked with
// the state of the base (docs/ndz-extensions.md), and CheckBase holds a base
// against that; those of the old programs name no base. Deltas of a disk
// against a signature are made by imaging/zip.
package delta
