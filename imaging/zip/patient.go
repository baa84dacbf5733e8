package zip

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Patient returns src with reads that fail tried again sector by sector, and
// what cannot be read at all taken as zeros and told to warn, which may be
// called from several goroutines.
func Patient(src Source, warn func(text string)) Source {
	src.ReaderAt = patient{src, warn}
	return src
}

type patient struct {
	src  Source
	warn func(text string)
}

func (p patient) ReadAt(b []byte, offset int64) (int, error) {
	n, err := p.src.ReadAt(b, offset)
	if err == nil || err == io.EOF && offset+int64(n) >= p.src.Bytes {
		return n, err
	}
	for at := 0; at < len(b); at += sectorBytes {
		sector := b[at:min(at+sectorBytes, len(b))]
		left := p.src.Bytes - offset - int64(at)
		if left <= 0 {
			return at, io.EOF
		}
		want := min(int64(len(sector)), left)
		if n, err := p.src.ReadAt(sector[:want], offset+int64(at)); int64(n) < want {
			clear(sector)
			p.warn(fmt.Sprintf("sector %d cannot be read, stored as zeros: %v", (offset+int64(at))/sectorBytes, err))
		}
		if want < int64(len(sector)) {
			return at + int(want), io.EOF
		}
	}
	return len(b), nil
}

// spool makes a source of a stream. What is no regular file goes through a
// temporary one, because the size must be known before the first chunk.
func spool(ctx context.Context, in io.Reader) (Source, io.Closer, error) {
	if f, ok := in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return Source{ReaderAt: f, Bytes: info.Size(), Info: info, Stat: f.Stat}, io.NopCloser(nil), nil
		}
	}
	f, err := os.CreateTemp("", "imagezip")
	if err != nil {
		return Source{}, nil, err
	}
	os.Remove(f.Name()) // it lives until it is closed
	size, err := io.Copy(f, untilDone{ctx, in})
	if err != nil {
		f.Close()
		return Source{}, nil, fmt.Errorf("reading standard input at byte %d: %w", size, err)
	}
	return Source{ReaderAt: f, Bytes: size}, f, nil
}

// untilDone fails when ctx has ended.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
