package unzip

import (
	"fmt"

	"hyzer/imaging/internal/tool"
)

// gigadots prints the progress of -O: one mark for every markBytes of data,
// zeros or skipped space.
type gigadots struct {
	dots *tool.Dots
	done [3]int64 // marks printed of each kind
}

// markBytes is what one mark stands for.
const markBytes = 1_000_000_000

func (g *gigadots) progress(p Progress) {
	for i, bytes := range []int64{p.WrittenBytes, p.ZeroedBytes, p.SkippedBytes} {
		for ; g.done[i] < bytes/markBytes; g.done[i]++ {
			g.dots.Mark(".zs"[i], func(s int64) string { return fmt.Sprintf("%4d %6d", s, p.Chunks-p.Stats.Chunks) })
		}
	}
}
