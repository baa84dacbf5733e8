package deflate

import "math/bits"

const (
	// literalsMax is the longest run of literals of one sequence, so that
	// blocks can be cut in data without matches.
	literalsMax = 1024
	// farBytes is the distance from which on a match of three bytes costs
	// more than its literals.
	farBytes = 4096
	// runBytesMin is the shortest repetition that is not entered whole.
	runBytesMin = 64
	// sampleBytes of a block show how many values of bytes it has.
	sampleBytes = 4096
	// loadBytes may be read from a place that is searched.
	loadBytes = 8
)

// parse makes sequences of the next block of data[from:to] and returns where
// it ends.
func (e *Encoder) parse(data []byte, from, to int) int {
	e.sequences = e.sequences[:0]
	e.lits.reset()
	e.dists.reset()
	e.split.reset()
	at, start := from, from // start of the literals
	if e.quick == nil {
		e.least = leastMatch(data[from:min(to, from+sampleBytes)])
	}
	last := min(to, len(data)-loadBytes) - matchBytesMin
	for at < to && len(e.sequences) < sequencesMax {
		if e.split.due() && e.ends(at-from, to-at) {
			break
		}
		if at >= last {
			at = min(to, start+literalsMax)
		} else if m := e.match(data, at, start, last, to); m.length > 0 {
			e.literals(data[start:m.at])
			e.take(m.at-start, m.length, m.at-m.from)
			at = m.at + m.length
			start = at
		} else {
			at = m.at
		}
		if at-start >= literalsMax {
			e.literals(data[start:at])
			e.sequences = append(e.sequences, sequence{literals: int32(at - start)})
			start = at
		}
	}
	if at > start {
		e.literals(data[start:at])
		e.sequences = append(e.sequences, sequence{literals: int32(at - start)})
	}
	return at
}

// ends tells whether a block of so many bytes should end here, where left
// bytes more are to come.
func (e *Encoder) ends(bytes, left int) bool {
	return left >= blockBytesMin && (e.split.cut(bytes) || bytes >= blockBytesMax)
}

// leastMatch is the length from which on matches are worth it in data like the
// sample: the fewer the values of bytes, the cheaper are literals.
func leastMatch(sample []byte) int {
	var is [256]bool
	n := 0
	for _, b := range sample {
		if !is[b] {
			is[b] = true
			n++
		}
	}
	switch {
	case n < 6:
		return 8
	case n < 16:
		return 6
	case n < 45:
		return 5
	case n < 80:
		return 4
	}
	return matchBytesMin
}

// match finds the match to take at i, or later if one there is better, and
// enters all its places. The search ends at last, and no match goes beyond to.
// Without a match it returns where to go on.
func (e *Encoder) match(data []byte, i, start, last, to int) found {
	if e.quick != nil {
		return e.quick.find(data, i, start, last, to)
	}
	f := e.chains
	length, distance := f.longest(data, i, matchBytesMin-1, min(matchBytesMax, to-i), &e.effort)
	if length < e.least || length == matchBytesMin && distance > farBytes {
		return found{at: i + 1}
	}
	known := 1
	for length < e.lazy && i+1 < last {
		n, d := f.longest(data, i+1, length-1, min(matchBytesMax, to-i-1), &e.effort)
		if known = 2; n == 0 || 4*(n-length)+bits.Len(uint(distance))-bits.Len(uint(d)) <= 2 {
			break
		}
		i, length, distance, known = i+1, n, d, 1
	}
	if length >= runBytesMin && distance < length {
		f.skip(data, i+length-4, 4) // of a long run the end is enough
	} else {
		f.skip(data, i+known, length-known)
	}
	return found{i, i - distance, length}
}

// literals counts a run of literals.
func (e *Encoder) literals(run []byte) {
	for _, b := range run {
		e.lits.n[b]++
		e.split.now[b>>5&6|b&1]++
	}
	e.split.fresh += len(run)
}

// take adds a sequence, or several for a match that is too long for one.
func (e *Encoder) take(literals, length, distance int) {
	e.split.match(length)
	for length > 0 {
		n := min(length, matchBytesMax)
		if rest := length - n; rest > 0 && rest < matchBytesMin {
			n -= matchBytesMin
		}
		e.sequences = append(e.sequences, sequence{int32(literals), uint16(n), uint16(distance)})
		e.lits.n[endOfBlock+1+int(e.codes.lengthCode[n])]++
		e.dists.n[distanceCode(distance)]++
		literals, length = 0, length-n
	}
}

// distanceCode is the symbol of a distance.
func distanceCode(distance int) int {
	n := uint(distance - 1)
	if n < 2 {
		return int(n)
	}
	k := bits.Len(n) - 1
	return 2*k + int(n>>(k-1)&1)
}
