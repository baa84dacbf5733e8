package freemap

import (
	"cmp"
	"slices"
	"sort"
)

// SectorBytes is the unit of all ranges.
const SectorBytes = 512

// Range is the sectors [Start, End).
type Range struct{ Start, End uint64 }

// Sectors is the length of r.
func (r Range) Sectors() uint64 { return r.End - r.Start }

// Map is what a file system says about the space it is in.
type Map struct {
	Type     string  // the file system, for people
	Free     []Range // relative to its start
	Sectors  uint64  // what it takes of its partition; the rest is not its own
	Warnings []string
}

// Append adds the sectors [start, end) to an ascending list, joining it to the
// last range if it touches it. Empty ranges are dropped.
func Append(list []Range, start, end uint64) []Range {
	if start >= end {
		return list
	}
	if n := len(list); n > 0 && list[n-1].End == start {
		list[n-1].End = end
		return list
	}
	return append(list, Range{start, end})
}

// Normalize sorts list in place and joins ranges that overlap or touch.
func Normalize(list []Range) []Range {
	slices.SortFunc(list, func(a, b Range) int { return cmp.Compare(a.Start, b.Start) })
	out := list[:0]
	for _, r := range list {
		n := len(out)
		switch {
		case r.Start >= r.End:
		case n > 0 && r.Start <= out[n-1].End:
			out[n-1].End = max(out[n-1].End, r.End)
		default:
			out = append(out, r)
		}
	}
	return out
}

// Invert returns what of [start, end) is not in list.
func Invert(list []Range, start, end uint64) []Range {
	var out []Range
	for _, r := range list {
		if r.Start >= end {
			break
		}
		if r.Start > start {
			out = append(out, Range{start, r.Start})
		}
		start = max(start, r.End)
	}
	return Append(out, start, end)
}

// Shift moves list by n sectors, and returns it.
func Shift(list []Range, n uint64) []Range {
	for i := range list {
		list[i].Start += n
		list[i].End += n
	}
	return list
}

// Subtract returns what of list is not in without.
func Subtract(list, without []Range) []Range {
	var out []Range
	i := 0
	for _, r := range list {
		for i < len(without) && without[i].End <= r.Start {
			i++
		}
		for j := i; j < len(without) && without[j].Start < r.End; j++ {
			out = Append(out, r.Start, without[j].Start)
			r.Start = max(r.Start, min(r.End, without[j].End))
		}
		out = Append(out, r.Start, r.End)
	}
	return out
}

// Intersect returns what is in both lists.
func Intersect(a, b []Range) []Range {
	var out []Range
	for i, k := 0, 0; i < len(a) && k < len(b); {
		out = Append(out, max(a[i].Start, b[k].Start), min(a[i].End, b[k].End))
		if a[i].End < b[k].End {
			i++
		} else {
			k++
		}
	}
	return out
}

// Overlap is the part of an ascending list that touches r.
func Overlap(list []Range, r Range) []Range {
	lo := sort.Search(len(list), func(i int) bool { return list[i].End > r.Start })
	hi := lo + sort.Search(len(list)-lo, func(i int) bool { return list[lo+i].Start >= r.End })
	return list[lo:hi]
}

// Split parts list into ranges of at least sectors length, and shorter ones.
func Split(list []Range, sectors uint64) (long, short []Range) {
	for _, r := range list {
		if r.Sectors() >= sectors {
			long = append(long, r)
		} else {
			short = append(short, r)
		}
	}
	return long, short
}

// Total is the number of sectors in list.
func Total(list []Range) uint64 {
	var n uint64
	for _, r := range list {
		n += r.Sectors()
	}
	return n
}
