// Package zip makes disk images.
//
// Free space comes from partition tables and file systems (Analyze); what is
// left is read, hashed and compressed in parallel and packed into chunks in
// order. Compression does not know where chunks end: it makes pieces that end
// on a byte, and the packer joins as many as fit. Only a piece that a chunk
// border cuts is compressed again, as is one whose matches would reach back
// over a border.
//
// A packer makes the chunks of V1 to V4. For V5 there are lanes, which compress
// segments of the data beside each other (docs/v5.md): each has its own pipeline,
// and a five that compresses the stream of each chunk by itself, at most
// v5.StreamBytesMax. Its squeezer has helpers, which find matches or deflate
// ahead of it: how far depends on what was compressed before, and never on how
// far they are.
//
// Invariants: the same input and options give the same image, whatever the
// number of workers; memory is bounded by the workers or lanes times what each
// holds, and by waitingMax chunks; and CreateFile leaves either a whole image
// under the final name or nothing.
package zip
