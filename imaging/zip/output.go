package zip

import (
	"fmt"
	"io"
	"math"

	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
)

// format is a family of image versions.
type format interface {
	// press returns what a worker does to a unit that it has read, beside
	// others; one for each worker.
	press() (func(*unit) error, error)
}

// output writes finished chunks, counts what is in them, and numbers the
// signature's records. It runs on one goroutine.
type output struct {
	out     io.Writer
	opts    Options
	layout  *Layout
	stats   Stats
	first   uint64 // where the coverage of the open chunk begins
	pending queue

	sums manifest.Builder // with Options.Manifest
	id   manifest.Identity
}

// chunk is a finished chunk.
type chunk struct {
	data    []byte // ndz.ChunkBytes
	last    uint64 // up to which it covers the disk
	dataEnd uint64 // sector
	payload int    // bytes, compressed
	input   int    // bytes of data
}

// write writes the next chunk.
func (o *output) write(c chunk) error {
	if _, err := o.out.Write(c.data); err != nil {
		return fmt.Errorf("writing chunk %d: %w", o.stats.Chunks, err)
	}
	if err := o.sum(c.data); err != nil {
		return err
	}
	if err := o.number(o.stats.Chunks, c.last); err != nil {
		return err
	}
	o.stats.Chunks++
	o.stats.ImageBytes += int64(len(c.data))
	o.stats.PayloadBytes += int64(c.payload)
	o.stats.DataBytes += int64(c.input)
	o.stats.InputBytes = int64(c.dataEnd) * sectorBytes
	o.first = c.last
	if o.opts.Progress != nil {
		o.opts.Progress(o.stats)
	}
	return nil
}

// sum adds a chunk to the manifest.
func (o *output) sum(chunk []byte) error {
	if o.opts.Manifest == nil {
		return nil
	}
	if o.stats.Chunks == 0 {
		h, err := ndz.ParseHeader(chunk)
		if err != nil {
			return err
		}
		o.id = Identify(h)
	}
	o.sums.Write(chunk)
	return nil
}

// Identify is what a chunk says about its image.
func Identify(h *ndz.Header) manifest.Identity {
	id := manifest.Identity{
		ImageID: manifest.ImageID(h.ImageID), Base: manifest.StateID(h.Mark.Base), State: manifest.StateID(h.Mark.State),
	}
	if h.V5 != nil {
		id.Version = h.V5.ImageVersion
	}
	return id
}

// finish fills in what the caller wants to know of the whole image.
func (o *output) finish() error {
	if s := o.opts.Signature; s != nil { // of a delta without changes
		if err := o.number(0, math.MaxUint64); err != nil {
			return err
		}
		if o.layout.Mark.State.IsZero() {
			o.id.State = manifest.StateID(s.ID())
		}
	}
	if o.opts.Manifest == nil || o.stats.Chunks == 0 {
		return nil
	}
	m, err := o.sums.Manifest(o.id)
	if err == nil {
		*o.opts.Manifest = *m
	}
	return err
}

// number gives the signature's records that a written chunk covers, up to
// sector end, their chunk.
func (o *output) number(index int, end uint64) error {
	if o.opts.Signature == nil {
		return nil
	}
	for r, ok := o.pending.pop(end); ok; r, ok = o.pending.pop(end) {
		r.Chunk = index
		r.Spans = r.End() > end
		if err := o.opts.Signature.Append(r); err != nil {
			return err
		}
	}
	return o.pending.err
}
