package v5

import (
	"errors"

	"github.com/klauspost/compress/zstd"

	"hyzer/imaging/internal/inflate"
)

// Decoder decodes chunks one after the other, reusing its memory. It is for
// one goroutine at a time.
type Decoder struct {
	zstd   *zstd.Decoder
	zlib   inflate.Decoder
	header *Header
	buf    []byte
	stream []byte // decompressed: in buf, or the payload itself
}

// Decode checks the whole chunk, ChunkBytes long, decompresses it and returns
// its header. After it Runs hands out the data. The Decoder keeps no reference
// to chunk, unless it is not compressed: then until the next call.
func (d *Decoder) Decode(chunk []byte) (*Header, error) {
	d.header = nil
	h, err := ParseHeader(chunk)
	if err != nil {
		return nil, err
	}
	if len(chunk) != ChunkBytes {
		return nil, faultf(len(chunk), "partial chunk of %d bytes, want %d", len(chunk), ChunkBytes)
	}
	if sum := chunkSum(chunk); string(sum[:]) != string(chunk[offSum:][:sumBytes]) {
		return nil, faultf(offSum, "chunk is damaged: its SHA-256 is %x, not %x", sum, chunk[offSum:][:sumBytes])
	}
	payload := chunk[HeadBytes:][:h.PayloadBytes]
	if err := d.decompress(h, payload); err != nil {
		return nil, &Fault{Offset: HeadBytes, Reason: h.Codec.String() + " payload", Err: err}
	}
	d.header = h
	return h, nil
}

var errLength = errors.New("does not decompress to the length of the stream")

func (d *Decoder) decompress(h *Header, payload []byte) (err error) {
	if h.Codec == None {
		d.stream = payload
		return nil
	}
	if h.StreamBytes == 0 {
		d.stream = nil
		if len(payload) > 0 {
			return errLength
		}
		return nil
	}
	if cap(d.buf) < h.StreamBytes {
		d.buf = make([]byte, roundUp(h.StreamBytes))
	}
	if h.Codec == Zstd {
		d.stream, err = d.unzstd(d.buf[:0:h.StreamBytes], payload)
	} else {
		d.stream, err = d.unzlib(d.buf[:h.StreamBytes], payload)
	}
	if err == nil && len(d.stream) != h.StreamBytes {
		err = errLength
	}
	return err
}

// roundUp keeps the buffer from being made anew for every chunk that is a
// little larger than the one before.
func roundUp(n int) int {
	const unit = 1 << 20
	return (n + unit - 1) / unit * unit
}

// unzstd appends to dst, up to its capacity.
func (d *Decoder) unzstd(dst, payload []byte) ([]byte, error) {
	if d.zstd == nil {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true),
			zstd.WithDecoderMaxMemory(StreamBytesMax), zstd.WithDecoderMaxWindow(StreamBytesMax))
		if err != nil {
			return nil, err
		}
		d.zstd = z
	}
	return d.zstd.DecodeAll(payload, dst)
}

// unzlib fills dst.
func (d *Decoder) unzlib(dst, payload []byte) ([]byte, error) {
	total := int64(len(dst))
	if err := d.zlib.Reset(payload); err != nil {
		return nil, err
	}
	if err := d.zlib.Fill(dst, 0, total); err != nil {
		return nil, err
	}
	return dst, d.zlib.Finish(dst, total)
}

// Run is a part of the disk that a chunk writes: data, or zeros if Data is nil.
type Run struct {
	Offset int64  // bytes from the image's base
	Bytes  int64  // length
	Data   []byte // valid until the next Decode; not to be changed
	Repeat bool   // Data was handed out before
}

// Runs calls fn for what the chunk last decoded writes, ascending and without
// overlaps: one run for each record that is not free.
func (d *Decoder) Runs(fn func(Run) error) error {
	h := d.header
	if h == nil {
		return errors.New("no chunk was decoded")
	}
	sector := int64(h.SectorBytes)
	at, stream := int64(h.First)*sector, int64(0)
	for _, r := range h.Records {
		run := Run{Offset: at, Bytes: int64(r.Sectors) * sector}
		at += run.Bytes
		switch r.Kind {
		case Free:
			continue
		case Data:
			run.Data = d.stream[stream:][:run.Bytes]
			stream += run.Bytes
		case Repeat:
			run.Data = d.stream[int64(r.Source)*sector:][:run.Bytes]
			run.Repeat = true
		}
		if err := fn(run); err != nil {
			return err
		}
	}
	return nil
}
