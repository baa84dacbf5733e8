// Package delta makes deltas between images and puts images and deltas
// together (spec ndz, section 5).
//
// A delta is an ordinary image of what changed; it is applied by restoring it
// over the restored base, without zero-fill. Nothing in it names its base:
// callers check the base with its signature. Deltas of a disk against a
// signature are made by imaging/zip.
package delta
