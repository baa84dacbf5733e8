package zstd

// sequencesMax is the most that a block has.
const sequencesMax = BlockBytesMax/matchBytesMin + 1

// sequence is some literals and the match after them.
type sequence struct{ literals, length, distance uint32 }

// Matches is what a Finder found in a part of the data, to be coded whole or in
// parts.
type Matches struct {
	sequences [sequencesMax]sequence
	n         int
	from, to  int // of data
}

// add adds a match and how many literals are before it.
func (m *Matches) add(literals, length, distance int) {
	m.sequences[m.n] = sequence{uint32(literals), uint32(length), uint32(distance)}
	m.n++
}

// part is the sequences of data[from:to], in room if they are not as they were
// found. What a border leaves too little of is literals.
func (m *Matches) part(room []sequence, from, to int) []sequence {
	if from == m.from && to == m.to {
		return m.sequences[:m.n]
	}
	list, next, start := room[:0], m.from, from
	for _, s := range m.sequences[:m.n] {
		at := next + int(s.literals)
		next = at + int(s.length)
		if first, end := max(at, from), min(next, to); end-first >= matchBase {
			list = append(list, sequence{uint32(first - start), uint32(end - first), s.distance})
			start = end
		}
	}
	return list
}
