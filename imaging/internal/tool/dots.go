package tool

import (
	"fmt"
	"io"
	"time"
)

// Dots prints progress as the old tools do: a mark for every step, and after
// so many of them a line end.
type Dots struct {
	W       io.Writer
	PerLine int
	Start   time.Time
	marks   int
}

// Mark prints one mark. tail is what ends the line if it is full, given the
// whole seconds since the start.
func (d *Dots) Mark(mark byte, tail func(seconds int64) string) {
	fmt.Fprintf(d.W, "%c", mark)
	if d.marks++; d.marks == d.PerLine {
		fmt.Fprintln(d.W, tail(int64(time.Since(d.Start).Seconds())))
		d.marks = 0
	}
}

// End ends a line that has marks.
func (d *Dots) End() {
	if d != nil && d.marks > 0 {
		fmt.Fprintln(d.W)
		d.marks = 0
	}
}
