package multicast

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"hyzer/bench/figure"
)

// result is all runs of a peer with that many clients and that loss.
type result struct {
	peer    peer
	clients int
	loss    float64
	bytes   int64 // of the image
	runs    []measure
	err     error
}

// add takes a run. A failure is kept.
func (r *result) add(m measure, err error) {
	if err != nil {
		r.err = err
		return
	}
	r.runs = append(r.runs, m)
}

// best is the run of least wall time.
func (r *result) best() (b measure, ok bool) {
	for i, m := range r.runs {
		if i == 0 || m.wall < b.wall {
			b = m
		}
	}
	return b, r.err == nil && len(r.runs) > 0
}

const blockBytes = 1024

// figures of a run, by the image's size.
type figures struct {
	seconds, wire, blocks, overflow, serverCPU, clientCPU float64
}

func (r *result) figures() (f figures, ok bool) {
	m, ok := r.best()
	gb := float64(r.bytes) / 1e9
	f = figures{
		seconds: m.wall.Seconds(), wire: float64(m.sent.bytes) / float64(r.bytes),
		serverCPU: m.serverCPU.Seconds() / gb, clientCPU: m.clientCPU.Seconds() / gb / float64(max(1, r.clients)),
	}
	if m.sent.packets > 0 {
		f.overflow = float64(m.overflows) / float64(m.sent.packets) / float64(max(1, r.clients))
	}
	if r.peer.framed {
		f.blocks = float64(m.sent.packets) / float64((r.bytes+blockBytes-1)/blockBytes)
	}
	return f, ok
}

// line is the result in a row.
func (r *result) line() string {
	head := fmt.Sprintf("%3d %4.3g %% %5d  %-24s", r.clients, r.loss*100, r.bytes>>20, r.peer.name)
	f, ok := r.figures()
	if !ok {
		return head + " failed: " + strings.ReplaceAll(r.err.Error(), "\n", "; ")
	}
	blocks := "     -"
	if f.blocks > 0 {
		blocks = fmt.Sprintf("%6.3f", f.blocks)
	}
	return fmt.Sprintf("%s %8.2f %7.3f %s %5.2f %% %8.2f %8.2f", head, f.seconds, f.wire, blocks, 100*f.overflow, f.serverCPU, f.clientCPU)
}

// table is the report: the best round of every peer, and how ours compares.
// Ratios are ours to the peer's; below 1 we are better.
func table(o *options, results []result, missing []string) string {
	var b strings.Builder
	link := "no limit on the server's link"
	if o.mbit > 0 {
		link = fmt.Sprintf("server's link of %d Mbit/s", o.mbit)
	}
	fmt.Fprintf(&b, "\n%s, %d cores for all; best of %d; ratios are hyzer to the other\n", link, runtime.NumCPU(), o.rounds)
	b.WriteString("wire: bytes on the server's wire per byte of the image; blocks: frames sent per KiB of it;\n")
	b.WriteString("full: share of the frames that reached a receiver, but found no room in its socket; it comes on top of the loss\n\n")
	fmt.Fprintf(&b, "%3s %6s %5s  %-24s %8s %7s %6s %7s %8s %8s   %5s %5s %5s\n", "n", "loss", "MiB", "program", "seconds", "wire", "blocks", "full",
		"srv s/GB", "cli s/GB", "time", "wire", "srv")
	for i := range results {
		r := &results[i]
		b.WriteString(r.line())
		f, ok := r.figures()
		if us, found := find(results, r); ok && found && r.peer.name != ours {
			fmt.Fprintf(&b, "   %5s %5s %5s", figure.Ratio(us.seconds, f.seconds), figure.Ratio(us.wire, f.wire), figure.Ratio(us.serverCPU, f.serverCPU))
		}
		b.WriteByte('\n')
	}
	for _, m := range missing {
		b.WriteString(m + "\n")
	}
	return b.String()
}

// find is our result under the same conditions as r.
func find(results []result, r *result) (figures, bool) {
	for i := range results {
		if o := &results[i]; o.peer.name == ours && o.clients == r.clients && o.loss == r.loss {
			return o.figures()
		}
	}
	return figures{}, false
}

// bars draws the wall times.
func bars(results []result) []byte {
	var list []figure.Bar
	for i := range results {
		r := &results[i]
		if m, ok := r.best(); ok {
			list = append(list, figure.Bar{
				Group: fmt.Sprintf("%d, %.3g %%", r.clients, r.loss*100), Label: r.peer.name, Value: m.wall.Seconds(),
				Text: fmt.Sprintf("%.2f", m.wall.Seconds()), Ours: r.peer.name == ours,
			})
		}
	}
	return figure.Bars("One image to many: receivers, loss: seconds", list)
}

// oursFailed is the failures of our programs, with themselves or with others.
func oursFailed(results []result) error {
	var errs []error
	for _, r := range results {
		if strings.HasPrefix(r.peer.name, ours) && r.err != nil {
			errs = append(errs, fmt.Errorf("%s, %d receivers, loss of %.3g %%: %w", r.peer.name, r.clients, r.loss*100, r.err))
		}
	}
	return errors.Join(errs...)
}
