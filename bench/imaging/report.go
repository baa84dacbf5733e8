package imaging

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"runtime"
	"strings"
	"time"
)

// table is the report: the best round of every peer, and how ours compares.
// Ratios are ours to the peer's; below 1 we are better.
func table(peers []*peer, dataBytes int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%.0f MB of real files, %d cores; the best round of each; ratios are hyzer to the other\n\n", float64(dataBytes)/1e6, runtime.NumCPU())
	fmt.Fprintf(&b, "%-20s %-20s %8s %8s %9s   %5s %5s %5s\n", "task", "program", "wall s", "cpu s", "out MB", "wall", "cpu", "size")
	var failed []string
	for _, p := range peers {
		r, ok := p.best()
		if !ok {
			failed = append(failed, fmt.Sprintf("failed: %v\n", p.err))
			continue
		}
		fmt.Fprintf(&b, "%-20s %-20s %8.2f %8.2f %9.1f", p.task, p.name, r.wall.Seconds(), r.cpu.Seconds(), float64(r.madeBytes)/1e6)
		if us, ok := find(peers, p.task); ok && p.name != ours {
			fmt.Fprintf(&b, "   %5s %5s %5s", ratio(us.wall, r.wall), ratio(us.cpu, r.cpu), ratio(time.Duration(us.madeBytes), time.Duration(r.madeBytes)))
		}
		b.WriteByte('\n')
	}
	for _, f := range failed {
		b.WriteString(f)
	}
	return b.String()
}

// find is our best run of a task.
func find(peers []*peer, task string) (run, bool) {
	for _, p := range peers {
		if p.task == task && p.name == ours {
			return p.best()
		}
	}
	return run{}, false
}

func ratio(a, b time.Duration) string {
	if a == 0 || b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(a)/float64(b))
}

// Sizes of the figure, in pixels.
const (
	figureWidth = 860
	labelWidth  = 300
	barWidthMax = 460
	rowHeight   = 22
)

// figure draws the wall times as bars, to scale within a task.
func figure(peers []*peer) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="13">`+"\n",
		figureWidth, (len(peers)+2)*rowHeight)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="#fff"/><text x="10" y="%d" font-weight="bold">Imaging: wall time, seconds</text>`+"\n", rowHeight-6)
	longest := map[string]time.Duration{}
	for _, p := range peers {
		if r, ok := p.best(); ok {
			longest[p.task] = max(longest[p.task], r.wall)
		}
	}
	y := 2 * rowHeight
	for _, p := range peers {
		r, ok := p.best()
		if !ok {
			continue
		}
		color := "#9aa5b1"
		if p.name == ours {
			color = "#1f6feb"
		}
		width := float64(barWidthMax) * float64(r.wall) / float64(max(1, longest[p.task]))
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">`, labelWidth-8, y)
		_ = xml.EscapeText(&b, []byte(p.task+": "+p.name)) // a bytes.Buffer does not fail
		fmt.Fprintf(&b, `</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%.2f</text>`+"\n",
			labelWidth, y-13, width, rowHeight-6, color, labelWidth+width+6, y, r.wall.Seconds())
		y += rowHeight
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
