package fec

// system is a system of linear equations, one for each parity block, for the
// missing blocks. Each row has width bytes of data, and then the coefficients
// of the missing blocks, so that one operation does both.
type system struct {
	width int
	lost  []int // blocks that are missing
	rows  [][]byte
	leads []int // of each row: the block of lost that it has alone, -1: none
}

// make sets up the coefficients, in *room, which grows as needed.
func (s *system) make(held []Symbol, room *[]byte) {
	n := s.width + len(s.lost)
	if need := n * len(held); len(*room) < need {
		*room = make([]byte, need)
	}
	s.rows = make([][]byte, len(held))
	for k, h := range held {
		row := (*room)[k*n : (k+1)*n]
		for i, b := range s.lost {
			row[s.width+i] = coefficient(int(h.Parity), b)
		}
		s.rows[k] = row
	}
}

// eliminate brings the rows to echelon form and returns their rank. A row that
// the rows before it imply has no lead.
func (s *system) eliminate() (rank int) {
	s.leads = make([]int, len(s.rows))
	for n, row := range s.rows {
		for k, lead := range s.leads[:n] {
			if lead >= 0 {
				addTimes(row, row[s.width+lead], s.rows[k])
			}
		}
		if s.leads[n] = s.lead(row); s.leads[n] >= 0 {
			scale(row, gf.div(1, row[s.width+s.leads[n]]))
			rank++
		}
	}
	return rank
}

// lead returns the first block that the row has.
func (s *system) lead(row []byte) int {
	for i, c := range row[s.width:] {
		if c != 0 {
			return i
		}
	}
	return -1
}

// substitute leaves each row with its lead alone, so that its data is that
// block. The rank is full.
func (s *system) substitute() {
	for n := len(s.rows) - 1; n >= 0; n-- {
		if s.leads[n] < 0 {
			continue
		}
		for _, row := range s.rows[:n] {
			addTimes(row, row[s.width+s.leads[n]], s.rows[n])
		}
	}
}
