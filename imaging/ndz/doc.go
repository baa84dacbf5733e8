// Package ndz is the codec of the chunks that disk images are made of.
//
// An image is an array of 1 MiB chunks without header, trailer or index. Every
// chunk describes the sectors it covers, the regions of them it holds data for
// and the relocations of that data, followed by one zlib stream. It can be
// decoded alone and in any order, which multicast loading relies on.
//
// Invariants: a Decoder hands out no byte of a chunk before the whole chunk
// was inflated and every length, checksum and signature in it agreed; and
// whatever the input, it needs no more memory than DataBufferBytesMax plus the
// chunk itself.
//
// The pipelines imaging/zip and imaging/unzip, the signature and delta
// packages and the multicast client call it. It knows no files or devices.
package ndz
