package zip

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"hyzer/imaging/internal/adler"
	"hyzer/imaging/v5"
)

// squeezer compresses the stream of a V5 chunk, which can be cut wherever it
// was flushed.
type squeezer interface {
	// reset begins a frame, which goes to packed.
	reset(packed *bytes.Buffer)
	Write(p []byte) (int, error)
	Flush() error
	// end appends to packed what ends a frame of data that was cut after a
	// flush, at most endBytes.
	end(packed, data []byte) []byte
	// frames tells whether a payload may have several.
	frames() bool
}

// endBytes is the most that squeezers append.
const endBytes = 2 + 4

func newSqueezer(codec v5.Codec, level *int) (squeezer, error) {
	if level != nil && (*level < 0 || *level > 9) {
		return nil, fmt.Errorf("compression level %d, want 0 to 9", *level)
	}
	switch {
	case codec == v5.None || level != nil && *level == 0:
		return &plain{}, nil
	case codec == v5.Zlib:
		l := LevelDefault
		if level != nil {
			l = *level
		}
		z, err := zlib.NewWriterLevel(nil, l)
		return &zlibSqueezer{z}, err
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdLevel(level)), zstd.WithEncoderConcurrency(squeezeWorkers),
		zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true), zstd.WithWindowSize(zstdWindowBytes))
	return &zstdSqueezer{z}, err
}

const (
	// zstdWindowBytes is more than most chunks hold.
	zstdWindowBytes = 8 << 20
	// squeezeWorkers: finding matches and coding them, one behind the other.
	squeezeWorkers = 2
)

// zstdLevel is the compressor's for the levels of zlib.
func zstdLevel(level *int) zstd.EncoderLevel {
	switch {
	case level == nil:
		return zstd.SpeedDefault
	case *level <= 2:
		return zstd.SpeedFastest
	case *level <= 6:
		return zstd.SpeedDefault
	case *level <= 8:
		return zstd.SpeedBetterCompression
	}
	return zstd.SpeedBestCompression
}

// codecOf is what the payload is marked with.
func codecOf(s squeezer) v5.Codec {
	switch s.(type) {
	case *plain:
		return v5.None
	case *zlibSqueezer:
		return v5.Zlib
	}
	return v5.Zstd
}

type plain struct{ packed *bytes.Buffer }

func (s *plain) reset(packed *bytes.Buffer)  { s.packed = packed }
func (s *plain) Write(p []byte) (int, error) { return s.packed.Write(p) }
func (s *plain) Flush() error                { return nil }
func (s *plain) end(packed, _ []byte) []byte { return packed }
func (s *plain) frames() bool                { return true }

type zstdSqueezer struct{ *zstd.Encoder }

func (s *zstdSqueezer) reset(packed *bytes.Buffer) { s.Reset(packed) }

// end adds a last block of no bytes (RFC 8878, 3.1.1.2).
func (s *zstdSqueezer) end(packed, _ []byte) []byte { return append(packed, 1, 0, 0) }
func (s *zstdSqueezer) frames() bool                { return true }

type zlibSqueezer struct{ *zlib.Writer }

func (s *zlibSqueezer) reset(packed *bytes.Buffer) { s.Reset(packed) }

// end adds a last block of no bytes and the checksum (RFC 1950).
func (s *zlibSqueezer) end(packed, data []byte) []byte {
	packed = append(packed, 3, 0)
	return binary.BigEndian.AppendUint32(packed, adler.Checksum(data))
}
func (s *zlibSqueezer) frames() bool { return false }
