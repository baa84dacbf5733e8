// Package v5 is the codec of the chunks of V5 images: sectors of any size
// numbered with 64 bits, zstd, zlib or no compression, a SHA-256 in every chunk,
// and records for zeros and for data that is in the chunk already. The format is
// written down byte by byte in docs/v5.md.
//
// Invariants: a Decoder hands out no byte of a chunk before the whole of it was
// held against its sum and decompressed to exactly the length it claims; the
// records of a chunk tile what it covers, so that no two can overlap; and
// whatever the input, it needs no more memory than StreamBytesMax, what its
// tables take and the chunk itself, and hands out no more than
// RestoredBytesMax.
//
// imaging/ndz calls it for every chunk that begins with its magic, so that
// whatever reads images reads these; imaging/zip writes it. It imports nothing
// of ours and knows no files.
package v5
