package view

import (
	"fmt"
	"io"
	"os"
	"sort"

	"hyzer/imaging/freemap"
	"hyzer/imaging/ndz"
)

// CacheBytesDefault is how much decoded data an Image keeps.
const CacheBytesDefault = 32 << 20

// Options say how an image is read.
type Options struct {
	// Decode has the keys of the image. Its Placement is not used: the view is
	// of the data as it is stored.
	Decode     ndz.DecodeOptions
	CacheBytes int64 // 0: CacheBytesDefault
}

// chunks is what an Image needs of a format.
type chunks interface {
	// stream decodes and checks chunk i, and then hands out its data in order.
	stream(i int, fn func(ndz.Run) error) error
	relocs() ([]ndz.Reloc, error)
}

// Image is one image, opened for reading at random. It is safe for use by
// several goroutines. A delta reads as its own data, and zeros elsewhere.
type Image struct {
	chunks  chunks
	sum     ndz.Summary
	extents []extent // ascending
	data    []freemap.Range
	cache   cache
}

// extent is a run of data with its place in a chunk.
type extent struct {
	offset, bytes int64 // on the disk
	chunk         int
	stream        int64 // where the run begins in the chunk's data
}

func (x extent) end() int64 { return x.offset + x.bytes }

// Open reads and checks the headers of an image of size bytes.
func Open(src io.ReaderAt, size int64, opts Options) (*Image, error) {
	m := &Image{cache: cache{bytesMax: opts.CacheBytes}}
	if m.cache.bytesMax == 0 {
		m.cache.bytesMax = CacheBytesDefault
	}
	if err := m.openNDZ(src, size, opts.Decode); err != nil {
		return nil, err
	}
	return m, nil
}

// File is an Image with the file that it is in.
type File struct {
	*Image
	Path string
	Info os.FileInfo
	f    *os.File
}

// Source is the file itself, with the chunks.
func (f *File) Source() io.ReaderAt { return f.f }

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// OpenFile opens the image at path.
func OpenFile(path string, opts Options) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var m *Image
		if m, err = Open(f, info.Size(), opts); err == nil {
			return &File{m, path, info, f}, nil
		}
		err = fmt.Errorf("%s: %w", path, err)
	}
	f.Close()
	return nil, err
}

// add appends the data of a chunk's region, which must lie after all others.
func (m *Image) add(x extent) {
	m.extents = append(m.extents, x)
	m.data = freemap.Append(m.data, uint64(x.offset)/freemap.SectorBytes, uint64(x.end())/freemap.SectorBytes)
}

// Summary is what the headers say.
func (m *Image) Summary() ndz.Summary { return m.sum }

// Mark is what the image is for.
func (m *Image) Mark() ndz.Mark { return m.sum.Mark }

// Sectors is the length of the disk in sectors of 512 bytes.
func (m *Image) Sectors() uint64 { return m.sum.Last }

// Data lists the sectors that the image has data for. It is the Image's own.
func (m *Image) Data() []freemap.Range { return m.data }

// Relocs reads the relocations of all chunks.
func (m *Image) Relocs() ([]ndz.Reloc, error) { return m.chunks.relocs() }

// ReadAt reads from the disk. Past its end it is io.EOF.
func (m *Image) ReadAt(p []byte, offset int64) (int, error) {
	p, short := within(p, offset, m.Sectors())
	clear(p)
	i := sort.Search(len(m.extents), func(i int) bool { return m.extents[i].end() > offset })
	for ; i < len(m.extents) && m.extents[i].offset < offset+int64(len(p)); i++ {
		x := m.extents[i]
		from, to := max(x.offset, offset), min(x.end(), offset+int64(len(p)))
		if err := m.read(p[from-offset:to-offset], x.chunk, x.stream+from-x.offset); err != nil {
			return 0, err
		}
	}
	return len(p), short
}

// within cuts p to what a disk has from offset on.
func within(p []byte, offset int64, sectors uint64) ([]byte, error) {
	end := int64(sectors) * freemap.SectorBytes
	if offset < 0 || offset >= end {
		return nil, io.EOF
	}
	if int64(len(p)) > end-offset {
		return p[:end-offset], io.EOF
	}
	return p, nil
}

// read copies data of a chunk from stream offset at on. p is zero.
func (m *Image) read(p []byte, chunk int, at int64) error {
	for len(p) > 0 {
		w := m.cache.find(chunk, at)
		w.once.Do(func() { m.load(w) })
		m.cache.settle(w)
		if w.err != nil {
			return w.err
		}
		if at >= w.to {
			return fmt.Errorf("chunk %d has no data at byte %d of its stream", chunk, at)
		}
		n := w.copy(p, at)
		p, at = p[n:], at+int64(n)
	}
	return nil
}
