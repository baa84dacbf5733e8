package zip

import (
	"bytes"
	"fmt"

	general "github.com/klauspost/compress/zstd"

	"hyzer/imaging/internal/zstd"
	"hyzer/imaging/v5"
)

// squeezer compresses the stream of a V5 chunk, which can be cut wherever it
// was flushed.
type squeezer interface {
	// reset begins a frame, which goes to packed. The stream before may change
	// after it, but not before.
	reset(packed *bytes.Buffer)
	// write goes on with stream[from:to]. The stream may grow and move.
	write(stream []byte, from, to int) error
	// flush makes packed what was written up to byte end of the stream: all, if
	// nothing is to be written ahead.
	flush(end int) error
	// back undoes what came after the last flush but one, and returns false if
	// it cannot.
	back() bool
	// cheap tells that what back undoes is cheap.
	cheap() bool
	// step is how much is best flushed at once.
	step() int
	// ahead is how much more is best written before that.
	ahead() int
	// end appends to packed what ends a frame of data that was cut after a
	// flush, at most endBytes.
	end(packed, data []byte) []byte
	// frames tells whether a payload may have several.
	frames() bool
	// close ends what goroutines it has.
	close()
}

// endBytes is the most that squeezers append.
const endBytes = 2 + 4

// newSqueezer returns one that works on the goroutine of who calls it, or with
// helpers on at most as many others as well.
func newSqueezer(codec v5.Codec, level *int, helpers int) (squeezer, error) {
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
		return newZlibSqueezer(l, helpers)
	}
	if level == nil || *level < betterLevel {
		return &zstdSqueezer{search: newSearcher(helpers > 0), z: zstd.NewEncoder()}, nil
	}
	effort := general.SpeedBetterCompression
	if *level == bestLevel {
		effort = general.SpeedBestCompression
	}
	z, err := general.NewWriter(nil, general.WithEncoderLevel(effort), general.WithEncoderConcurrency(squeezeWorkers),
		general.WithEncoderCRC(false), general.WithAllLitEntropyCompression(true), general.WithWindowSize(zstdWindowBytes))
	return &generalSqueezer{z}, err
}

// Levels of V5: below betterLevel all are the encoder made for it, the two
// before bestLevel take twice as long and the last one far longer.
const (
	betterLevel = 7
	bestLevel   = 9
)

const (
	// zstdWindowBytes is more than most chunks hold.
	zstdWindowBytes = 8 << 20
	// squeezeWorkers: finding matches and coding them, one behind the other.
	squeezeWorkers = 2
)

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

func (s *plain) reset(packed *bytes.Buffer) { s.packed = packed }
func (s *plain) write(stream []byte, from, to int) error {
	_, err := s.packed.Write(stream[from:to])
	return err
}
func (s *plain) flush(int) error             { return nil }
func (s *plain) end(packed, _ []byte) []byte { return packed }
func (s *plain) back() bool                  { return false }
func (s *plain) step() int                   { return v5.StreamBytesMax }
func (s *plain) ahead() int                  { return 0 }
func (s *plain) cheap() bool                 { return false }
func (s *plain) close()                      {}
func (s *plain) frames() bool                { return true }

// generalSqueezer is for levels that find more.
type generalSqueezer struct{ z *general.Encoder }

func (s *generalSqueezer) reset(packed *bytes.Buffer) { s.z.Reset(packed) }
func (s *generalSqueezer) write(stream []byte, from, to int) error {
	_, err := s.z.Write(stream[from:to])
	return err
}
func (s *generalSqueezer) flush(int) error             { return s.z.Flush() }
func (s *generalSqueezer) end(packed, _ []byte) []byte { return zstd.AppendEnd(packed) }
func (s *generalSqueezer) back() bool                  { return false }
func (s *generalSqueezer) step() int                   { return v5.StreamBytesMax }
func (s *generalSqueezer) ahead() int                  { return 0 }
func (s *generalSqueezer) cheap() bool                 { return false }
func (s *generalSqueezer) close()                      {}
func (s *generalSqueezer) frames() bool                { return true }
