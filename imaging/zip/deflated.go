package zip

import (
	"bytes"
	"encoding/binary"
	"sync"

	"hyzer/imaging/internal/adler"
	"hyzer/imaging/internal/deflate"
)

const (
	// deflateBytes of the stream are compressed apart from the others, after
	// the window before them.
	deflateBytes = 256 << 10
	// deflateAhead is how many such parts are compressed ahead: all that lanes
	// need to have WorkersMax at work.
	deflateAhead = 3
)

// zlibSqueezer is the codec of the older versions. Parts of the stream are
// compressed by themselves, and once more if a chunk ends in one.
type zlibSqueezer struct {
	level       int
	z           *deflate.Encoder
	again       []byte         // what z made
	jobs        chan *deflated // of the helpers; nil: there are none
	wg          *sync.WaitGroup
	packed      *bytes.Buffer
	stream      []byte
	begin, done int         // of the frame, in stream
	before      int         // done at the last flush
	parts       []*deflated // that are to be written, after those that could be once more
	free        []*deflated
}

// deflated is a part of a stream, compressed.
type deflated struct {
	data   []byte // of the frame, up to the part's end
	from   int
	packed []byte
	done   chan struct{} // holds something when it is compressed
	known  bool          // that it is
}

func newZlibSqueezer(level, helpers int) (*zlibSqueezer, error) {
	s := &zlibSqueezer{level: level, wg: &sync.WaitGroup{}}
	var err error
	if s.z, err = deflate.New(level); err != nil {
		return nil, err
	}
	if helpers > 0 {
		s.jobs = make(chan *deflated, deflateAhead)
	}
	for range min(helpers, deflateAhead+1) {
		z, err := deflate.New(level)
		if err != nil {
			return nil, err
		}
		s.wg.Go(func() {
			for p := range s.jobs {
				p.compress(z)
			}
		})
	}
	return s, nil
}

func (p *deflated) compress(z *deflate.Encoder) {
	z.Begin(p.data, p.from)
	p.packed = z.Append(p.packed[:0], p.data, p.from, len(p.data))
	p.done <- struct{}{}
}

func (p *deflated) wait() {
	if !p.known {
		<-p.done
		p.known = true
	}
}

func (s *zlibSqueezer) reset(packed *bytes.Buffer) {
	s.drop(len(s.parts))
	s.packed, s.begin = packed, -1
}

// drop ends the use of the first n parts.
func (s *zlibSqueezer) drop(n int) {
	for _, p := range s.parts[:n] {
		p.wait()
		p.data = nil
		s.free = append(s.free, p)
	}
	s.parts = append(s.parts[:0], s.parts[n:]...)
}

func (s *zlibSqueezer) write(stream []byte, from, to int) error {
	if s.begin < 0 {
		s.begin, s.done = from, from
		s.packed.Write(zlibHeader(s.level))
	}
	s.stream = stream
	p := &deflated{done: make(chan struct{}, 1)}
	if n := len(s.free); n > 0 {
		p, s.free = s.free[n-1], s.free[:n-1]
	}
	p.data, p.from, p.known = stream[s.begin:to], from-s.begin, false
	s.parts = append(s.parts, p)
	if s.jobs == nil {
		p.compress(s.z)
	} else {
		s.jobs <- p
	}
	return nil
}

func (s *zlibSqueezer) flush(end int) error {
	s.before = s.done
	written := 0
	for _, p := range s.parts {
		from, to := s.begin+p.from, s.begin+len(p.data)
		switch {
		case to <= s.before:
			written++
			continue
		case s.done >= end:
		case s.done == from && to <= end:
			p.wait()
			s.packed.Write(p.packed)
			s.done = to
		default: // a part of it
			n := min(to, end)
			data := s.stream[s.begin:n]
			s.z.Begin(data, s.done-s.begin)
			s.again = s.z.Append(s.again[:0], data, s.done-s.begin, len(data))
			s.packed.Write(s.again)
			s.done = n
		}
	}
	s.drop(written)
	return nil
}

func (s *zlibSqueezer) back() bool {
	s.done = s.before
	return true
}

func (s *zlibSqueezer) step() int    { return deflateBytes }
func (s *zlibSqueezer) ahead() int   { return deflateAhead * deflateBytes }
func (s *zlibSqueezer) cheap() bool  { return true }
func (s *zlibSqueezer) frames() bool { return false }

// end adds a last block of no bytes and the checksum (RFC 1950).
func (s *zlibSqueezer) end(packed, data []byte) []byte {
	packed = append(packed, 3, 0)
	return binary.BigEndian.AppendUint32(packed, adler.Checksum(data))
}

func (s *zlibSqueezer) close() {
	if s.jobs != nil {
		close(s.jobs)
		s.wg.Wait()
	}
}
