package deflate

const (
	observedKinds = 10  // 8 kinds of literals, short and long matches
	observedBatch = 512 // symbols
	longMatch     = 9   // bytes
)

// splitter watches the mix of symbols, to end a block when it changes. It is
// the heuristic of libdeflate.
type splitter struct {
	now, before    [observedKinds]uint32 // symbols of the last batch, and before
	fresh, counted int                   // how many these are
}

func (s *splitter) reset() { *s = splitter{} }

func (s *splitter) match(length int) {
	kind := 8
	if length >= longMatch {
		kind = 9
	}
	s.now[kind]++
	s.fresh++
}

// due tells whether a batch is complete.
func (s *splitter) due() bool { return s.fresh >= observedBatch }

// cut tells whether a block that is bytes long should end before the last
// batch, which otherwise becomes part of it.
func (s *splitter) cut(bytes int) bool {
	if s.counted > 0 && bytes >= blockBytesMin {
		total := uint64(0)
		for i := range s.now {
			expected := uint64(s.before[i]) * uint64(s.fresh)
			actual := uint64(s.now[i]) * uint64(s.counted)
			total += max(expected, actual) - min(expected, actual)
		}
		symbols := uint64(s.counted + s.fresh)
		limit := uint64(s.fresh) * 200 / 512 * uint64(s.counted)
		if bytes < 10000 && symbols < 8192 {
			limit += limit * (8192 - symbols) / 8192
		}
		if total+uint64(bytes/4096)*uint64(s.counted) >= limit {
			return true
		}
	}
	for i, n := range s.now {
		s.before[i] += n
	}
	s.counted += s.fresh
	s.now, s.fresh = [observedKinds]uint32{}, 0
	return false
}
