package sig

import (
	"context"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
)

// errDevice is a disk that cannot be read, or is too short.
var errDevice = errors.New("disk cannot be read")

// Regular hashes a file of size bytes that is no image. A last sector that is
// not whole is a record of size 0 with its bytes as chunk number, as the old
// program has it; but sectors are counted through, which it begins anew every
// MiB.
func Regular(ctx context.Context, src io.ReaderAt, size int64, opts HashOptions) (*File, error) {
	f := opts.file()
	sectors := uint64(size) / ndz.SectorBytes
	blocks := f.Blocks([]freemap.Range{{Start: 0, End: sectors}})
	next := func() (Extent, bool, error) {
		r, ok := blocks.Next()
		return Extent{Record: r}, ok, nil
	}
	if err := HashAll(ctx, src, f.Type, opts.Workers, next, func(r Record, sum [HashBytes]byte) error {
		r.Hash = sum
		return f.Append(r)
	}); err != nil {
		return nil, err
	}
	rest := make([]byte, size%ndz.SectorBytes)
	if len(rest) == 0 {
		return f, nil
	}
	if n, err := src.ReadAt(rest, size-int64(len(rest))); n < len(rest) {
		return nil, fmt.Errorf("reading the last %d bytes: %w", len(rest), err)
	}
	r, h := Record{Start: sectors, Chunk: len(rest)}, f.Type.New()
	h.Write(rest)
	h.Sum(r.Hash[:0])
	return f, f.Append(r)
}
