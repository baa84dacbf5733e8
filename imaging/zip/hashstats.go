package zip

import (
	"fmt"
	"io"
	"time"

	"hyzer/imaging/freemap"
	"hyzer/imaging/sig"
)

// HashStats is what a comparison with a signature found, in records of it and
// in sectors.
type HashStats struct {
	BlockSectors                       uint64
	Blocks, BlocksSame                 int // of the signature, still in use
	Sectors, SectorsSame               uint64
	Original, Current, Common          uint64 // hashed then, in use now, both
	Modified                           uint64 // of those in use
	FreeBlocks, FreeBlocksSame         int    // that cover sectors now free
	FreeSectors, FreeSectorsSame       uint64
	AllocatedAssumed, RelocatedAssumed uint64 // in use and taken for changed unread or with free ones
	Elapsed                            time.Duration
}

// count adds a record of the signature of which something is still in use. moved
// says that there are relocations in it.
func (s *HashStats) count(layout *Layout, h sig.Record, same, moved bool) {
	used := within(layout.Data, freemap.Range{Start: h.Start, End: h.End()})
	s.Blocks++
	s.Sectors += h.Size
	s.Common += used
	if same {
		s.BlocksSame++
		s.SectorsSame += h.Size
	}
	if used < h.Size {
		s.FreeBlocks++
		s.FreeSectors += h.Size - used
		if same {
			s.FreeBlocksSame++
			s.FreeSectorsSame += h.Size - used
		} else {
			s.AllocatedAssumed += used
		}
	}
	if moved {
		s.AllocatedAssumed += used
		s.RelocatedAssumed += used
	}
}

// within is how many sectors of an ascending list are in r.
func within(list []freemap.Range, r freemap.Range) (n uint64) {
	for _, x := range freemap.Overlap(list, r) {
		n += min(x.End, r.End) - max(x.Start, r.Start)
	}
	return n
}

// print writes the block that the old program prints with -H and -U; of an
// image without a comparison, s has the current size alone. The old program
// also prints the times of reading and hashing one by one, which are one here.
func (s *HashStats) print(w io.Writer, base string, slice int) {
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	name := base
	if name == "" {
		name = "<none>"
	}
	p("\nHASH STATS:\n\nSignature file:         %s\nPartition:              %d", name, slice)
	p("Max hash block size:    %d sectors\n", s.BlockSectors)
	count := func(what string, n uint64) { p("%-24s%10d", what, n) }
	part := func(what string, n, of uint64) { p("%-24s%10d (%.1f%%)", what, n, share(n, of)) }
	if base != "" {
		p("Read+hash time:         %7.3f sec\n", s.Elapsed.Seconds())
		count("Hash blocks compared:", uint64(s.Blocks))
		part("  Identical:", uint64(s.BlocksSame), uint64(s.Blocks))
		count("Total sectors compared:", s.Sectors)
		part("  Identical:", s.SectorsSame, s.Sectors)
		p("")
	}
	count("Original sectors:", s.Original)
	count("Current sectors:", s.Current)
	if base != "" {
		count("Common sectors:", s.Common)
		part("Deleted from original:", s.Original-s.Common, s.Original)
		part("Added to original:", s.Current-s.Common, s.Original)
		part("Modified from original:", s.Modified, s.Original)
		p("")
		p("Hash blocks covering free sectors:   %d\n  Total free sectors covered:        %d", s.FreeBlocks, s.FreeSectors)
		p("  Hash blocks compared identical:    %d\n  Free sectors compared identical:   %d", s.FreeBlocksSame, s.FreeSectorsSame)
		p("  Allocated sectors assumed changed: %d\n    Assumed changed due to fixups:   %d", s.AllocatedAssumed, s.RelocatedAssumed)
	}
	p("\nEND HASH STATS")
}

func share(part, of uint64) float64 { return 100 * float64(part) / float64(max(1, of)) }
