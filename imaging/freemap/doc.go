// Package freemap holds what the readers of file systems have in common: lists
// of sector ranges and the answer to "which sectors need not be imaged".
//
// Invariants: lists of ranges are ascending and no two touch; and a sector a
// reader is not sure about is not free. A reader that finds damage keeps the
// part concerned and says so in Map.Warnings; one that cannot tell at all
// fails, and its caller keeps everything.
//
// Each file system has a package below this one. imaging/zip calls them.
package freemap
