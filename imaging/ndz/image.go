package ndz

import (
	"fmt"
	"io"
	"sort"
	"sync"
)

const (
	// imageCacheChunks is how many decoded chunks an Image keeps.
	imageCacheChunks = 8
	// imagePageBytes is the unit in which an Image keeps data; pages of
	// zeros take no room.
	imagePageBytes = 64 << 10
	// imagePagesMax bounds the pages of one chunk that are kept.
	imagePagesMax = 64 << 20 / imagePageBytes
)

// Image reads an image as the disk it was made of: data as it is stored, and
// zeros where it has none. It is safe for use by several goroutines.
type Image struct {
	src     io.ReaderAt
	opts    DecodeOptions
	sum     Summary
	regions []imageRegion // ascending

	mu    sync.Mutex
	cache []*imageChunk // least recently used first
}

// imageRegion is a region with its chunk.
type imageRegion struct {
	Region
	chunk  int
	stream int64 // where its data begins in the chunk's
}

// imageChunk is a chunk's data, once it was read.
type imageChunk struct {
	index int
	once  sync.Once
	err   error
	pages [][]byte // of the stream; nil: zeros
}

// OpenImage reads the headers of an image of size bytes.
func OpenImage(src io.ReaderAt, size int64, opts DecodeOptions) (*Image, error) {
	sum, err := Info(src, size)
	if err != nil {
		return nil, err
	}
	opts.AsStored = true
	m := &Image{src: src, opts: opts, sum: sum}
	buf := make([]byte, HeaderAreaBytes)
	for i := range sum.Chunks {
		if n, err := src.ReadAt(buf, int64(i)*ChunkBytes); n < len(buf) {
			return nil, fmt.Errorf("chunk %d: %w", i, err)
		}
		h, err := ParseHeader(buf)
		if err != nil {
			return nil, InChunk(err, i)
		}
		at := int64(0)
		for _, r := range h.Regions {
			m.regions = append(m.regions, imageRegion{r, i, at})
			at += int64(r.Size) * SectorBytes
		}
	}
	return m, nil
}

// Summary is what the headers say.
func (m *Image) Summary() Summary { return m.sum }

// Regions lists all regions, ascending; some touch, at chunk borders.
func (m *Image) Regions() []Region {
	out := make([]Region, len(m.regions))
	for i, r := range m.regions {
		out[i] = r.Region
	}
	return out
}

// Relocs reads the relocations of all chunks.
func (m *Image) Relocs() ([]Reloc, error) {
	var out []Reloc
	buf := make([]byte, HeaderAreaBytes)
	for i := range m.sum.Chunks {
		if n, err := m.src.ReadAt(buf, int64(i)*ChunkBytes); n < len(buf) {
			return nil, fmt.Errorf("chunk %d: %w", i, err)
		}
		h, err := ParseHeader(buf)
		if err != nil {
			return nil, InChunk(err, i)
		}
		out = append(out, h.Relocs...)
	}
	return out, nil
}

// ReadAt reads from the disk that the image is of, [0, Summary().Last) sectors.
func (m *Image) ReadAt(p []byte, offset int64) (int, error) {
	end := int64(m.sum.Last) * SectorBytes
	if offset < 0 || offset >= end {
		return 0, io.EOF
	}
	var short error
	if int64(len(p)) > end-offset {
		p, short = p[:end-offset], io.EOF
	}
	clear(p)
	i := sort.Search(len(m.regions), func(i int) bool { return int64(m.regions[i].End())*SectorBytes > offset })
	for ; i < len(m.regions) && int64(m.regions[i].Start)*SectorBytes < offset+int64(len(p)); i++ {
		r := m.regions[i]
		start := int64(r.Start) * SectorBytes
		from, to := max(start, offset), min(int64(r.End())*SectorBytes, offset+int64(len(p)))
		c, err := m.chunk(r.chunk)
		if err != nil {
			return 0, err
		}
		c.read(p[from-offset:to-offset], r.stream+from-start)
	}
	return len(p), short
}

// read copies from the stream; p is zero.
func (c *imageChunk) read(p []byte, at int64) {
	for len(p) > 0 {
		page, in := at/imagePageBytes, int(at%imagePageBytes)
		n := min(len(p), imagePageBytes-in)
		if data := c.pages[page]; data != nil {
			copy(p[:n], data[in:])
		}
		p, at = p[n:], at+int64(n)
	}
}

// chunk returns the data of a chunk, from the cache if it is there.
func (m *Image) chunk(index int) (*imageChunk, error) {
	m.mu.Lock()
	var c *imageChunk
	for i, x := range m.cache {
		if x.index == index {
			c = x
			m.cache = append(m.cache[:i], m.cache[i+1:]...)
			break
		}
	}
	if c == nil {
		c = &imageChunk{index: index}
	}
	if len(m.cache) == imageCacheChunks {
		m.cache = append(m.cache[:0], m.cache[1:]...)
	}
	m.cache = append(m.cache, c)
	m.mu.Unlock()
	c.once.Do(func() { c.err = c.load(m) })
	return c, c.err
}

func (c *imageChunk) load(m *Image) error {
	d, err := NewDecoder(m.opts)
	if err != nil {
		return err
	}
	buf := make([]byte, ChunkBytes)
	if err := ReadChunk(m.src, c.index, buf); err != nil {
		return err
	}
	h, err := d.Decode(buf)
	if err != nil {
		return InChunk(err, c.index)
	}
	c.pages = make([][]byte, (h.DataBytes()+imagePageBytes-1)/imagePageBytes)
	at, kept := int64(0), 0
	return d.Emit(func(_ int64, data []byte) error {
		for len(data) > 0 {
			page, in := at/imagePageBytes, int(at%imagePageBytes)
			n := min(len(data), imagePageBytes-in)
			if c.pages[page] == nil && !allZero(data[:n]) {
				if kept++; kept > imagePagesMax {
					return fmt.Errorf("chunk %d holds more than %d bytes of data to read at random", c.index, imagePagesMax*imagePageBytes)
				}
				c.pages[page] = make([]byte, imagePageBytes)
			}
			if c.pages[page] != nil {
				copy(c.pages[page][in:], data[:n])
			}
			data, at = data[n:], at+int64(n)
		}
		return nil
	})
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
