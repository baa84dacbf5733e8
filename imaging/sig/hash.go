package sig

import (
	"context"
	"encoding"
	"io"
	"sync"

	"hyzer/imaging/internal/sha1pair"
	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
)

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

// Image makes the signature of an image of size bytes, of the data as it is
// stored (spec ndz, section 4).
func Image(ctx context.Context, src io.ReaderAt, size int64, opts HashOptions) (*File, error) {
	info, err := ndz.Info(src, size)
	if err != nil {
		return nil, err
	}
	f := opts.file()
	opts.Decode.AsStored = true
	workers := tool.Workers(opts.Workers)
	if f.BlockSectors > largeBlockSectors {
		workers = 1 // the heads of many chunks would be too much
	}
	j := joiner{f: f, spans: opts.JoinSpans, done: map[int]*chunkHash{}}
	err = ndz.Each(ctx, src, info.Chunks, workers, opts.Decode, func(i int, h *ndz.Header, d *ndz.Decoder) error {
		c := &chunkHash{}
		if err := c.run(f, i, h, d, opts.JoinSpans); err != nil {
			return err
		}
		return j.add(i, c)
	})
	if err != nil {
		return nil, err
	}
	return f, j.flush()
}

// largeBlockSectors is the largest hash block that several workers hash.
const largeBlockSectors = 4096

// chunkHash is the hashes of one chunk.
type chunkHash struct {
	records []Record
	head    []byte // data of the first record, if the chunk before may have the rest
	tail    []byte // state of the hash after the last record, if the next chunk may have
}

// run hashes the chunk that d has decoded, piece by piece.
func (c *chunkHash) run(f *File, index int, h *ndz.Header, d *ndz.Decoder, join bool) error {
	for _, r := range h.Regions {
		for s := r.Start; s < r.End(); s = f.BlockEnd(s) {
			c.records = append(c.records, Record{Start: s, Size: min(r.End(), f.BlockEnd(s)) - s, Chunk: index})
		}
	}
	keepHead := join && c.records[0].Start%f.BlockSectors != 0
	keepTail := join && h.DataEnd()%f.BlockSectors != 0
	i, sum := 0, f.Type.New()
	return d.Emit(func(offset int64, data []byte) error {
		for len(data) > 0 {
			if i > 0 || !keepHead {
				if n := c.pair(f.Type, i, offset, data, keepTail); n > 0 {
					i, data, offset = i+2, data[n:], offset+int64(n)
					continue
				}
			}
			r := &c.records[i]
			n := min(int64(len(data)), int64(r.End())*ndz.SectorBytes-offset)
			sum.Write(data[:n])
			if i == 0 && keepHead {
				c.head = append(c.head, data[:n]...)
			}
			data, offset = data[n:], offset+n
			if offset < int64(r.End())*ndz.SectorBytes {
				continue
			}
			if i++; i == len(c.records) && keepTail {
				var err error
				if c.tail, err = sum.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
					return err
				}
			}
			sum.Sum(r.Hash[:0])
			sum.Reset()
		}
		return nil
	})
}

// pair hashes record i and the next side by side, if data begins with both, and
// returns how much that was. Of the last record the state is needed, with
// keepTail.
func (c *chunkHash) pair(t HashType, i int, offset int64, data []byte, keepTail bool) int {
	if t != SHA1 || i+1 >= len(c.records) || keepTail && i+2 == len(c.records) {
		return 0
	}
	r, s := &c.records[i], &c.records[i+1]
	n := int(r.Size) * ndz.SectorBytes
	if r.Size != s.Size || r.End() != s.Start || offset != int64(r.Start)*ndz.SectorBytes || len(data) < 2*n {
		return 0
	}
	r.Hash, s.Hash = sha1pair.Sum(data[:n], data[n:2*n])
	return 2 * n
}

// joiner puts the records of chunks together in order. What it holds is of
// chunks that wait for one before them, and the last record, which the next
// chunk may go on with.
type joiner struct {
	f     *File
	spans bool

	mu   sync.Mutex
	done map[int]*chunkHash
	next int
	last []Record // none or one
	tail []byte   // state of the hash after it, if the next chunk may go on
}

func (j *joiner) add(index int, c *chunkHash) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done[index] = c
	for c := j.done[j.next]; c != nil; c = j.done[j.next] {
		if err := j.join(c); err != nil {
			return err
		}
		delete(j.done, j.next)
		j.next++
	}
	return nil
}

// join adds the records of the next chunk, the first of them to the last one
// there if together they are of one block.
func (j *joiner) join(c *chunkHash) error {
	records := c.records
	if j.spans && len(j.last) > 0 && j.tail != nil && c.head != nil {
		last, first := &j.last[0], records[0]
		if !last.Spans && last.End() == first.Start && first.End() <= j.f.BlockEnd(last.Start) {
			sum := j.f.Type.New()
			if err := sum.(encoding.BinaryUnmarshaler).UnmarshalBinary(j.tail); err != nil {
				panic(err) // it is what the same hash made
			}
			sum.Write(c.head)
			sum.Sum(last.Hash[:0])
			last.Size += first.Size
			last.Spans = true
			records = records[1:]
		}
	}
	j.tail = c.tail
	if len(records) == 0 {
		return nil
	}
	if err := j.flush(); err != nil {
		return err
	}
	for _, r := range records[:len(records)-1] {
		if err := j.f.Append(r); err != nil {
			return err
		}
	}
	j.last = append(j.last, records[len(records)-1])
	return nil
}

// flush adds the last record.
func (j *joiner) flush() error {
	for _, r := range j.last {
		if err := j.f.Append(r); err != nil {
			return err
		}
	}
	j.last = j.last[:0]
	return nil
}
