package sig

import (
	"context"
	"errors"
	"fmt"
	"io"

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
	var buf []byte
	for s := uint64(0); s < sectors; s = f.BlockEnd(s) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r := Record{Start: s, Size: min(sectors, f.BlockEnd(s)) - s}
		var err error
		if r.Hash, err = HashRange(src, f.Type, r.Start, r.Size, &buf); err != nil {
			return nil, err
		}
		f.Records = append(f.Records, r)
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
	f.Records = append(f.Records, r)
	return f, nil
}
