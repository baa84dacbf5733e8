// Package delta makes deltas between images and puts images and deltas
// together (spec ndz, section 5).
//
// A delta is an ordinary image of what changed; it is applied by restoring it
// over the restored base, without zero-fill. Those made here are marked with
// the state of the base (docs/ndz-extensions.md); those of the old programs name
// no base. OpenChain opens a full image with deltas over it, each held against
// what is below it, and Merge makes one image of them. Deltas of a disk against
// a signature are made by imaging/zip.
package delta
