package imaging

import (
	"fmt"
	"runtime"
	"strings"

	"hyzer/bench/figure"
)

// table is the report: the best round of every peer, and how ours compare.
// Ratios are ours to the peer's; below 1 we are better.
func table(peers []*peer, dataBytes int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%.0f MB of real files, %d cores; the best round of each; ratios are ours to the other\n\n", float64(dataBytes)/1e6, runtime.NumCPU())
	fmt.Fprintf(&b, "%70s   %-17s   %s\n", "", oursV3+" to it", oursV5+" to it")
	fmt.Fprintf(&b, "%-20s %-20s %8s %8s %9s   %5s %5s %5s   %5s %5s %5s\n",
		"task", "program", "wall s", "cpu s", "out MB", "wall", "cpu", "size", "wall", "cpu", "size")
	var failed []string
	for _, p := range peers {
		if p.absent != "" {
			fmt.Fprintf(&b, "%-20s %-20s %s is not installed\n", p.task, p.name, p.absent)
			continue
		}
		r, ok := p.best()
		if !ok {
			failed = append(failed, fmt.Sprintf("failed: %v\n", p.err))
			continue
		}
		line := fmt.Sprintf("%-20s %-20s %8.2f %8.2f %9.1f", p.task, p.name, r.wall.Seconds(), r.cpu.Seconds(), float64(r.madeBytes)/1e6)
		if !isOurs(p.name) {
			line += ratios(peers, p.task, oursV3, r) + ratios(peers, p.task, oursV5, r)
		}
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	for _, f := range failed {
		b.WriteString(f)
	}
	return b.String()
}

// ratios compares a program of ours with a run of another.
func ratios(peers []*peer, task, name string, other run) string {
	for _, p := range peers {
		if p.task != task || p.name != name {
			continue
		}
		if us, ok := p.best(); ok {
			return fmt.Sprintf("   %5s %5s %5s", figure.Ratio(us.wall.Seconds(), other.wall.Seconds()),
				figure.Ratio(us.cpu.Seconds(), other.cpu.Seconds()), figure.Ratio(float64(us.madeBytes), float64(other.madeBytes)))
		}
	}
	return strings.Repeat(" ", 20)
}

// bars draws the wall times.
func bars(peers []*peer) []byte {
	var list []figure.Bar
	for _, p := range peers {
		if r, ok := p.best(); ok {
			list = append(list, figure.Bar{
				Group: p.task, Label: p.name, Value: r.wall.Seconds(), Text: fmt.Sprintf("%.2f", r.wall.Seconds()), Ours: isOurs(p.name),
			})
		}
	}
	return figure.Bars("Imaging: wall time, seconds", list)
}
