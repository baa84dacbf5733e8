// Package replace writes files that have their names only when they are whole:
// images, and what lies beside them, as signatures, manifests and keys.
//
// Invariant: under a final name is what was there before, or all that was
// written, durable; of several files that belong together none has its name
// before all are durable. Until then a file is ".NAME.tmpN" beside its place, and
// locked: one that nobody has locked was left by a program that was killed, and
// goes when the next file of that name is made. imaging/zip, imaging/sig and
// imaging/unzip call it.
package replace
