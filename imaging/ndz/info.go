package ndz

import (
	"fmt"
	"io"
)

// Summary is what the chunk headers of an image say about it.
type Summary struct {
	Version Version
	ImageID ImageID // V4, V5
	Mark    Mark
	Chunks  int

	// First and Last are the sectors covered, [First, Last). DataLast is the
	// first sector after all data.
	First, Last, DataLast uint64
	SectorBytes           int    // of the disk that it was made of; sectors here have 512
	ImageVersion          uint32 // V5

	Regions      int
	Relocs       int
	DataBytes    int64 // inflated
	PayloadBytes int64 // compressed
	EndBytes     int64 // length of the restored image; not whole sectors for a regular file
	Encrypted    bool
	Checksum     ChecksumType

	// Irregular holds what is worth a warning and no more, at most
	// irregularMax notes.
	Irregular []string
}

const irregularMax = 100

// HasRelocs tells whether the data depends on where it is restored.
func (s Summary) HasRelocs() bool { return s.Relocs > 0 }

// Info reads and checks every chunk header of an image of size bytes, and how
// the chunks fit together. It inflates nothing.
func Info(r io.ReaderAt, size int64) (Summary, error) {
	var c Collector
	if size%ChunkBytes != 0 && size > 0 {
		n := size / ChunkBytes
		return Summary{}, &FormatError{Chunk: int(n), Offset: int(size % ChunkBytes), Reason: fmt.Sprintf(
			"image of %d bytes ends inside a chunk: cut short, or junk after the last chunk", size)}
	}
	buf := make([]byte, HeaderAreaBytes)
	for i := range int(size / ChunkBytes) {
		if n, err := r.ReadAt(buf, int64(i)*ChunkBytes); n < len(buf) {
			return Summary{}, fmt.Errorf("chunk %d: %w", i, err)
		}
		h, err := ParseHeader(buf)
		if err != nil {
			return Summary{}, InChunk(err, i)
		}
		if err := c.Add(h); err != nil {
			return Summary{}, err
		}
	}
	return c.Finish()
}

// Collector adds up headers in the order of their chunks and checks that they
// make one image.
type Collector struct {
	sum   Summary
	first *Header
	total int // V1
}

// Add takes the header of the next chunk.
func (c *Collector) Add(h *Header) error {
	s := &c.sum
	if s.Chunks == 0 {
		s.Version, s.ImageID, s.SectorBytes = h.Version, h.ImageID, SectorBytes
		s.Checksum, s.Mark, c.total = h.Checksum, h.Mark, h.Total
		s.First, s.Last = h.First, h.First
		c.first = h
		if h.V5 != nil {
			s.SectorBytes, s.ImageVersion = h.V5.SectorBytes, h.V5.ImageVersion
		}
	}
	if err := c.follows(h); err != nil {
		return err
	}
	for _, note := range h.Irregularities(s.Chunks) {
		if len(s.Irregular) < irregularMax {
			s.Irregular = append(s.Irregular, fmt.Sprintf("chunk %d %s", s.Chunks, note))
		}
	}
	s.Chunks++
	s.Last, s.DataLast, s.EndBytes = h.Last, h.DataEnd(), h.EndBytes()
	s.Regions += len(h.Regions)
	s.Relocs += len(h.Relocs)
	s.DataBytes += h.DataBytes()
	s.PayloadBytes += int64(h.PayloadBytes)
	s.Encrypted = s.Encrypted || h.Cipher != CipherNone
	return nil
}

// follows checks h against the chunks before it.
func (c *Collector) follows(h *Header) error {
	s := &c.sum
	fault := func(offset int, format string, args ...any) error {
		return InChunk(faultf(offset, format, args...), s.Chunks)
	}
	if err := h.SameImage(c.first, s.Chunks); err != nil {
		return InChunk(err, s.Chunks)
	}
	switch {
	case h.First < s.Last:
		return fault(offFirst, "covers sectors from %d that chunks before it cover up to %d", h.First, s.Last)
	case h.Version >= V2 && h.First != s.Last:
		return fault(offFirst, "covers sectors from %d; %d to %d are missing", h.First, s.Last, h.First)
	case h.Version >= V2 && s.Chunks == 0 && h.First != 0:
		return fault(offFirst, "first chunk covers sectors from %d, not 0: the beginning is missing", h.First)
	}
	return nil
}

// Finish returns the sums. An image of no chunk at all is an error.
func (c *Collector) Finish() (Summary, error) {
	if c.sum.Chunks == 0 {
		return Summary{}, &FormatError{Chunk: 0, Reason: "image is empty"}
	}
	if c.total > 0 && c.total != c.sum.Chunks {
		return Summary{}, &FormatError{Chunk: 0, Offset: offTotal,
			Reason: fmt.Sprintf("image of %d chunks has only %d", c.total, c.sum.Chunks)}
	}
	if end := c.first.End; end != 0 && c.sum.Last != end {
		return Summary{}, &FormatError{Chunk: c.sum.Chunks, Reason: fmt.Sprintf(
			"image has chunks up to sector %d of %d: the end is missing", c.sum.Last, end)}
	}
	return c.sum, nil
}
