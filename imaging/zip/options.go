package zip

import (
	"crypto/ed25519"
	"io"
	"os"

	"hyzer/imaging/internal/tool"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/v5"
)

const (
	sectorBytes = ndz.SectorBytes
	// MinFreeSectorsDefault is the shortest run of free sectors left out.
	MinFreeSectorsDefault = 64
	// LevelDefault is the zlib level of old images.
	LevelDefault = 4
	// levelBest takes about the time of the old program at its default, on two
	// cores.
	levelBest = 8
)

// Source is a disk, partition or file to make an image of.
type Source struct {
	io.ReaderAt
	Bytes int64
	Unit  int  // bytes of the disk's own sectors; 0: its partition table tells
	Busy  bool // others may write to it

	Info os.FileInfo // of the file or device, which no image may replace; nil: it has none
	// Stat, if set, tells what Info is now.
	Stat func() (os.FileInfo, error)
}

// changed tells whether a file is not as it was opened. Of a device its time says
// nothing.
func (src Source) changed() bool {
	if src.Stat == nil || src.Info == nil || !src.Info.Mode().IsRegular() {
		return false
	}
	now, err := src.Stat()
	return err != nil || now.Size() != src.Info.Size() || !now.ModTime().Equal(src.Info.ModTime())
}

// BSDPart is a partition in a BSD slice.
type BSDPart struct {
	Slice  int // the number of the slice
	Number int // from 1 for 'a'
}

// Options of an image. The zero value makes a V3 image of everything in use.
type Options struct {
	Raw            bool   // keep all bytes, look for nothing
	Slice          int    // image only this partition; 0: the whole disk
	Bare           bool   // a file system without a partition table
	FileSystem     string // of a bare source, if several could be meant; see Families
	Ignore         []int  // partitions of which nothing is kept
	KeepRaw        []int  // partitions of which everything is kept
	IgnoreBSD      []BSDPart
	KeepRawBSD     []BSDPart
	MaxSectors     uint64
	MinFreeSectors int  // 0: MinFreeSectorsDefault; -1: leave out all free space
	KeepDeleted    bool // keep the content of free runs too short to be left out
	NoRelocs       bool // store labels as they are and mark nothing
	SkipTail       bool // leave out what is after a file system in its partition

	Version  ndz.Version     // 0: V3
	Level    *int            // 0 to 9, zlib's or for V5 what compares; nil: LevelDefault
	Checksum bool            // SHA-1 in every chunk (V4)
	Sign     *ndz.SigningKey // sign the checksums; a new key (V4)
	ImageID  *ndz.ImageID
	Key      []byte // encrypt (V4)

	// SectorBytes is the size of the disk's own sectors, which V5 images say
	// and partition tables count in; 0: what the source says, and else 512.
	SectorBytes int

	// Of V5.
	Codec        *v5.Codec // nil: zstd
	ImageVersion uint32    // counted by who publishes the image
	SegmentBytes int64     // of data that are compressed apart from others; 0: as many as is best

	// Manifest, if set, gets the sums of the image's chunks. CreateFile writes
	// it beside the image, signed if ManifestKey is set.
	Manifest    *manifest.Manifest
	ManifestKey ed25519.PrivateKey

	// Signature, if set, gets the hashes of everything in the image.
	Signature *sig.File

	// Base, if set, is the signature to make a delta against. The delta is a
	// full image after all if it would be more than FullPercent of it (0: never).
	// Signature then describes all of the disk, hashed as Base is.
	Base        *sig.File
	FullPercent int

	Workers  int
	Progress func(Stats)
	Warn     func(text string)
	// Chosen, if set, is called with the layout before anything is written.
	Chosen func(*Layout)
}

// Stats are the totals of an image.
type Stats struct {
	Chunks       int
	InputBytes   int64 // where in the input the last chunk ends
	DataBytes    int64 // allocated
	FreeBytes    int64 // left out
	PayloadBytes int64 // compressed
	ImageBytes   int64
}

func (o Options) workers() int { return tool.Workers(o.Workers) }

func (o Options) level() int {
	if o.Level == nil {
		return LevelDefault
	}
	return *o.Level
}

func (o Options) codec() v5.Codec {
	if o.Codec == nil {
		return v5.Zstd
	}
	return *o.Codec
}

func (o Options) segmentBytes() int64 {
	if o.SegmentBytes == 0 {
		return segmentBytes
	}
	return o.SegmentBytes
}

func (o Options) version() ndz.Version {
	switch {
	case o.Version != 0:
		return o.Version
	case o.Checksum || o.Sign != nil || o.ImageID != nil || o.Key != nil:
		return ndz.V4
	}
	return ndz.V3
}

func (o Options) warn(texts []string) {
	if o.Warn == nil {
		return
	}
	for _, t := range texts {
		o.Warn(t)
	}
}
