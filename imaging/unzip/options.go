package unzip

import (
	"hyzer/imaging/freemap"
	"hyzer/imaging/internal/tool"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
)

// Options of a restore. The zero value restores the data and nothing else.
type Options struct {
	// Decode says what is checked and undone in every chunk. Its Placement
	// is where the image goes: with a partition (Size > 0) everything is
	// moved by its start, and what lies beyond its end is cut off.
	Decode ndz.DecodeOptions
	// ZeroFill zeroes the free space that chunks describe, and the target
	// after them unless the image goes into a partition. Never set it for a
	// delta: the base would be wiped. That is refused for a delta with a mark;
	// nothing tells those of the old programs.
	ZeroFill bool
	// Pattern, if not 0, is written to free space instead of zeros, as
	// little-endian words counted from the image's base.
	Pattern uint32
	// Base, if set, is the signature of what a marked delta goes on top of:
	// the target is held against it before the first write. BaseID is the
	// state that the caller knows to be there, as the mark of the image
	// restored just before said. AnyBase leaves the check out. A marked delta
	// without one of the three is refused.
	Base    *sig.File
	BaseID  ndz.StateID
	AnyBase bool
	// Keep, if set, is sectors of the image, ascending, that are not written: the
	// target has them as they will be. For going on with a restore that was cut
	// off, or putting a disk back to what it nearly is. See Kept.
	Keep []freemap.Range
	// DataOnly has Stream write the data alone, and nothing for free space.
	DataOnly bool
	// Manifest, if set, is that of the image: a chunk is held against its sum
	// before anything else is done with it. Whoever sets it has verified its
	// signature.
	Manifest *manifest.Manifest
	// Chunks is the number of chunks of the whole image, if known: a Writer
	// that was given fewer fails in Close.
	Chunks int
	// Workers is the most chunks worked on at once; 0: one per core and four that
	// wait for the disk, at most 12.
	Workers int
	// Progress, if set, is called after every chunk, one call at a time.
	Progress func(Progress)
	// Warn, if set, gets what is odd but harmless, one call at a time.
	Warn func(text string)
}

// Progress is where a restore is.
type Progress struct {
	Chunk  int // the one just finished
	Chunks int // of the image; 0 if unknown
	Stats
}

// Stats are the totals of a restore.
type Stats struct {
	Chunks        int
	ReadBytes     int64 // compressed data used
	WrittenBytes  int64 // inflated data written
	ZeroedBytes   int64 // free space made to read as zeros
	KeptBytes     int64 // data that was on the target already
	KeptChunks    int   // all of whose data was; they are not decoded
	ClippedBytes  int64 // data beyond the end of the partition, not written
	EndBytes      int64 // where the coverage ends, from the image base
	WriteRequests int64 // runs of data
	ZeroRequests  int64 // runs of free space
	SkippedBytes  int64 // free space left as it was
}

// checkChunk holds a chunk against the manifest, if there is one.
func (o Options) checkChunk(index int, data []byte) error {
	if o.Manifest == nil {
		return nil
	}
	return o.Manifest.CheckChunk(index, data)
}

// checkSize does the same for the length of an image.
func (o Options) checkSize(bytes int64) error {
	if o.Manifest == nil {
		return nil
	}
	return o.Manifest.CheckSize(bytes)
}

// waitingWorkers are those beside one for each core: who writes around the page
// cache waits for the disk, and the cores must have something to decode.
const waitingWorkers = 4

func (o Options) workers() int {
	if o.Workers > 0 {
		return tool.Workers(o.Workers)
	}
	return tool.Workers(tool.Workers(0) + waitingWorkers)
}
