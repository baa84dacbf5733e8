// Package manifest is the list of what an image file holds: the SHA-256 of
// each chunk of 1 MiB as it is stored, which image and version that is, what a
// delta goes on top of, and an Ed25519 signature over all of it. It knows
// nothing of the format of the chunks: V1 to V5 images have the same manifest
// (docs/v5.md, "The manifest").
//
// Invariants: what Decode returns was checked against the sum in it and encodes
// to the same bytes again; Verify accepts only a manifest that the given key
// signed, whatever key the manifest itself names.
//
// imaging/zip makes it beside an image, as <image>.manifest; whoever fetches or
// restores chunks checks each with CheckChunk before it writes a byte of it. It
// knows no files.
package manifest
