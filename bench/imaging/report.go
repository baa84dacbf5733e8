package imaging

import (
	"fmt"
	"runtime"
	"strings"

	"hyzer/bench/figure"
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
			fmt.Fprintf(&b, "   %5s %5s %5s", figure.Ratio(us.wall.Seconds(), r.wall.Seconds()),
				figure.Ratio(us.cpu.Seconds(), r.cpu.Seconds()), figure.Ratio(float64(us.madeBytes), float64(r.madeBytes)))
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

// bars draws the wall times.
func bars(peers []*peer) []byte {
	var list []figure.Bar
	for _, p := range peers {
		if r, ok := p.best(); ok {
			list = append(list, figure.Bar{
				Group: p.task, Label: p.name, Value: r.wall.Seconds(), Text: fmt.Sprintf("%.2f", r.wall.Seconds()), Ours: p.name == ours,
			})
		}
	}
	return figure.Bars("Imaging: wall time, seconds", list)
}
