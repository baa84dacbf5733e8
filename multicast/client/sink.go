package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hyzer/multicast/wire"
)

// Sink takes the chunks of an image as they become complete, in any order,
// each once. Data is one chunk, shorter only for the last of a file that is no
// whole number of chunks, and is the caller's again when Chunk returns.
//
// An error ends the reception, except one that wraps ErrBadChunk: that chunk
// is asked for again.
type Sink interface {
	Chunk(ctx context.Context, index int, data []byte) error
}

// ErrBadChunk is wrapped by the error of a Sink that found a chunk damaged.
var ErrBadChunk = errors.New("chunk is damaged")

// RawSink writes chunks where they belong in a file (-N).
type RawSink struct {
	W io.WriterAt
}

// Chunk writes one chunk.
func (s RawSink) Chunk(_ context.Context, index int, data []byte) error {
	offset := int64(index) * wire.ChunkBytes
	if _, err := s.W.WriteAt(data, offset); err != nil {
		return fmt.Errorf("writing %d bytes at %d: %w", len(data), offset, err)
	}
	return nil
}
