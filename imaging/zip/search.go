package zip

import (
	"bytes"
	"sync"

	"hyzer/imaging/internal/zstd"
)

// zstdSqueezer makes a block whenever it is flushed, of matches that may have
// been found before by another goroutine.
type zstdSqueezer struct {
	search      *searcher
	z           *zstd.Encoder
	packed      *bytes.Buffer
	stream      []byte
	begin, done int         // of the frame, in stream
	parts       []*searched // that are to be coded, after those that could be once more

	before struct { // the last flush
		done  int
		state zstd.State
	}
}

func (s *zstdSqueezer) reset(packed *bytes.Buffer) {
	for _, p := range s.parts {
		s.search.drop(p)
	}
	*s = zstdSqueezer{search: s.search, z: s.z, packed: packed, begin: -1, parts: s.parts[:0]}
	s.z.Reset()
	s.search.fresh = true
}

func (s *zstdSqueezer) write(stream []byte, from, to int) error {
	if s.begin < 0 {
		s.begin, s.done = from, from
		s.packed.Write(zstd.AppendHead(s.packed.AvailableBuffer()))
	}
	for s.stream = stream; from < to; from += zstd.BlockBytesMax {
		end := min(from+zstd.BlockBytesMax, to)
		s.parts = append(s.parts, s.search.start(stream[s.begin:end], from-s.begin))
	}
	return nil
}

func (s *zstdSqueezer) flush(end int) error {
	s.before.done, s.before.state = s.done, s.z.State()
	coded := 0
	for _, p := range s.parts {
		to := s.begin + len(p.data)
		if to <= s.before.done {
			s.search.drop(p)
			coded++
		} else if s.done < end {
			n := min(to, end)
			s.packed.Write(s.z.Append(s.packed.AvailableBuffer(), s.stream[s.begin:], p.found(), s.done-s.begin, n-s.begin))
			s.done = n
		}
	}
	s.parts = append(s.parts[:0], s.parts[coded:]...)
	return nil
}

func (s *zstdSqueezer) back() bool {
	s.done = s.before.done
	s.z.Rewind(s.before.state)
	return true
}

func (s *zstdSqueezer) cheap() bool                 { return true }
func (s *zstdSqueezer) step() int                   { return zstd.BlockBytesMax }
func (s *zstdSqueezer) ahead() int                  { return searchAhead * zstd.BlockBytesMax }
func (s *zstdSqueezer) end(packed, _ []byte) []byte { return zstd.AppendEnd(packed) }
func (s *zstdSqueezer) frames() bool                { return true }
func (s *zstdSqueezer) close()                      { s.search.close() }

// searchAhead is how many blocks are searched ahead: one, and one because they
// do not all take equally long.
const searchAhead = 2

// searcher finds the matches in one part of a frame after the other.
type searcher struct {
	finder *zstd.Finder
	jobs   chan *searched // of its goroutine; nil: there is none
	wg     sync.WaitGroup
	free   []*searched
	fresh  bool // the next part begins a frame
}

// searched is a part that is searched.
type searched struct {
	matches zstd.Matches
	data    []byte // of the frame, up to its end
	from    int
	fresh   bool
	done    chan struct{} // holds something when it is searched
	known   bool          // that it is
}

// newSearcher returns one that searches on a goroutine of its own, or at once.
func newSearcher(apart bool) *searcher {
	s := &searcher{finder: zstd.NewFinder()}
	if apart {
		s.jobs = make(chan *searched, searchAhead)
		s.wg.Go(func() {
			for p := range s.jobs {
				s.search(p)
			}
		})
	}
	return s
}

// close ends the goroutine.
func (s *searcher) close() {
	if s.jobs != nil {
		close(s.jobs)
		s.wg.Wait()
	}
}

func (s *searcher) search(p *searched) {
	if p.fresh {
		s.finder.Reset()
	}
	s.finder.Find(&p.matches, p.data, p.from, len(p.data))
	p.done <- struct{}{}
}

// start has data searched from a byte on.
func (s *searcher) start(data []byte, from int) *searched {
	p := s.take()
	p.data, p.from, p.fresh, p.known, s.fresh = data, from, s.fresh, false, false
	if s.jobs == nil {
		s.search(p)
	} else {
		s.jobs <- p
	}
	return p
}

func (s *searcher) take() *searched {
	n := len(s.free)
	if n == 0 {
		return &searched{done: make(chan struct{}, 1)}
	}
	p := s.free[n-1]
	s.free = s.free[:n-1]
	return p
}

// found waits until p is searched.
func (p *searched) found() *zstd.Matches {
	if !p.known {
		<-p.done
		p.known = true
	}
	return &p.matches
}

// drop ends the use of p, and with it that of the data.
func (s *searcher) drop(p *searched) {
	p.found()
	p.data = nil
	s.free = append(s.free, p)
}
