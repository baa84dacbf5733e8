package sig

import (
	"context"
	"hash"
	"io"
	"runtime"

	"hyzer/imaging/ndz"
)

// workersMax bounds the memory on a machine of many cores.
const workersMax = 16

// HashOptions say how an image is hashed. The zero value is SHA-1 of 64 KiB
// blocks.
type HashOptions struct {
	Type         HashType
	BlockSectors uint64
	// JoinSpans makes one record of a block that a chunk border cuts, if it
	// is the last piece of one chunk and the first of the next.
	JoinSpans bool
	Workers   int // 0: one per core
	Decode    ndz.DecodeOptions
}

func (o HashOptions) file() *File {
	f := &File{Type: o.Type, BlockSectors: o.BlockSectors}
	if f.Type == 0 {
		f.Type = SHA1
	}
	if f.BlockSectors == 0 {
		f.BlockSectors = BlockSectorsDefault
	}
	return f
}

func workers(n int) int {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return min(n, workersMax)
}

// Image makes the signature of an image of size bytes, of the data as it is
// stored (spec ndz, section 4).
func Image(ctx context.Context, src io.ReaderAt, size int64, opts HashOptions) (*File, error) {
	info, err := ndz.Info(src, size)
	if err != nil {
		return nil, err
	}
	f := opts.file()
	opts.Decode.AsStored = true
	chunks := make([]chunkHash, info.Chunks)
	err = ndz.Each(ctx, src, info.Chunks, workers(opts.Workers), opts.Decode,
		func(i int, h *ndz.Header, d *ndz.Decoder) error {
			chunks[i].keep = opts.JoinSpans
			return chunks[i].run(f, i, h, d)
		})
	if err != nil {
		return nil, err
	}
	for i := range chunks {
		f.join(&chunks[i], opts.JoinSpans)
	}
	return f, nil
}

// chunkHash is the hashes of one chunk.
type chunkHash struct {
	records    []Record
	keep       bool
	head, tail []byte // data of the first and the last record, if kept
}

// run hashes the chunk that d has decoded, piece by piece.
func (c *chunkHash) run(f *File, index int, h *ndz.Header, d *ndz.Decoder) error {
	for _, r := range h.Regions {
		for s := r.Start; s < r.End(); s = f.BlockEnd(s) {
			c.records = append(c.records, Record{Start: s, Size: min(r.End(), f.BlockEnd(s)) - s, Chunk: index})
		}
	}
	i, sum := 0, f.Type.New()
	return d.Emit(func(offset int64, data []byte) error {
		for len(data) > 0 {
			r := &c.records[i]
			n := min(int64(len(data)), int64(r.End())*ndz.SectorBytes-offset)
			c.write(sum, i, data[:n])
			data, offset = data[n:], offset+n
			if offset == int64(r.End())*ndz.SectorBytes {
				sum.Sum(r.Hash[:0])
				sum.Reset()
				i++
			}
		}
		return nil
	})
}

func (c *chunkHash) write(sum hash.Hash, i int, data []byte) {
	sum.Write(data)
	if c.keep && i == 0 {
		c.head = append(c.head, data...)
	}
	if c.keep && i == len(c.records)-1 {
		c.tail = append(c.tail, data...)
	}
}

// join adds the records of the next chunk to f.
func (f *File) join(c *chunkHash, spans bool) {
	records := c.records
	if n := len(f.Records); spans && n > 0 {
		last, first := &f.Records[n-1], records[0]
		if !last.Spans && last.End() == first.Start && first.End() <= f.BlockEnd(last.Start) {
			sum := f.Type.New()
			sum.Write(f.tail)
			sum.Write(c.head)
			sum.Sum(last.Hash[:0])
			last.Size += first.Size
			last.Spans = true
			records = records[1:]
		}
	}
	f.Records = append(f.Records, records...)
	f.tail = c.tail
}
