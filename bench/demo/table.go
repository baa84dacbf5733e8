package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/bench/vnode"
	"hyzer/netsvc/control"
)

// board is what is known of the nodes: their states from the appliance, their
// progress from the nodes themselves.
type board struct {
	mu    sync.Mutex
	rows  map[string]*row
	since time.Time
}

type row struct {
	mode, state string // as the appliance has recorded
	event       vnode.Event
}

func newBoard() *board { return &board{rows: map[string]*row{}, since: time.Now()} }

// add makes room for a node.
func (b *board) add(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows[name] = &row{}
}

// heard takes what a virtual node did.
func (b *board) heard(e vnode.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.rows[e.Node]; r != nil {
		r.event = e
	}
}

// follow keeps the states up to date from the appliance's stream, across
// restarts of the appliance, until ctx ends.
func (b *board) follow(ctx context.Context, client *control.Client) {
	after := uint64(0)
	for ctx.Err() == nil {
		path := fmt.Sprintf("/v1/changes?after=%d", after)
		err := client.Stream(ctx, "GET", path, nil, func(line []byte) error {
			var c control.Change
			if err := json.Unmarshal(line, &c); err != nil {
				return err
			}
			if c.Entry != nil {
				b.stepped(c)
				after = uint64(c.Entry.Revision)
			}
			return nil
		})
		if err == nil || ctx.Err() != nil {
			continue
		}
		select { // the appliance is down: that is part of the story
		case <-time.After(pollInterval):
		case <-ctx.Done():
		}
	}
}

func (b *board) stepped(c control.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.rows[c.Node]; r != nil {
		r.mode, r.state = c.Entry.Mode, c.Entry.To
	}
}

// progress is the share of all image bytes that the loading nodes have.
func (b *board) progress() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var share float64
	for _, r := range b.rows {
		share += r.share()
	}
	return share / float64(len(b.rows))
}

// share is how much of its image a node has, 1 when it has gone on.
func (r *row) share() float64 {
	switch r.event.Phase {
	case vnode.PhaseLoaded, vnode.PhaseBoot, vnode.PhaseSetup, vnode.PhaseUp:
		return 1
	case vnode.PhaseLoading:
		if r.event.BytesTotal > 0 {
			return float64(r.event.Bytes) / float64(r.event.BytesTotal)
		}
	}
	return 0
}

// screen shows the board: a table that is drawn again in place on a terminal,
// a line now and then elsewhere.
type screen struct {
	out      io.Writer
	terminal bool
	drawn    int // lines of the table on the terminal
}

func newScreen(out *os.File) *screen {
	_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	return &screen{out: out, terminal: err == nil}
}

// Times between drawings.
const (
	redrawInterval  = 200 * time.Millisecond
	summaryInterval = 2 * time.Second
)

// run shows the board until ctx ends, and once more at the end.
func (s *screen) run(ctx context.Context, b *board) {
	interval := summaryInterval
	if s.terminal {
		interval = redrawInterval
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			s.table(b)
			return
		case <-ticker.C:
			if s.terminal {
				s.table(b)
			} else {
				fmt.Fprintln(s.out, b.summary())
			}
		}
	}
}

// say prints a line of the story above the table.
func (s *screen) say(format string, args ...any) {
	s.drawn = 0
	fmt.Fprintf(s.out, "\n== "+format+"\n", args...)
}

func (s *screen) table(b *board) {
	lines := b.lines()
	var text strings.Builder
	if s.terminal && s.drawn > 0 {
		fmt.Fprintf(&text, "\x1b[%dA", s.drawn)
	}
	for _, line := range lines {
		text.WriteString(line)
		if s.terminal {
			text.WriteString("\x1b[K")
		}
		text.WriteByte('\n')
	}
	s.drawn = len(lines)
	io.WriteString(s.out, text.String())
}

func (b *board) lines() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := []string{fmt.Sprintf("%-6s %-22s %-22s %10s  %s", "NODE", "STATE", "LOAD", "MB/s", "DOING")}
	for _, name := range b.names() {
		r := b.rows[name]
		rate := ""
		if r.event.Phase == vnode.PhaseLoading && r.event.BytesPerSec > 0 {
			rate = fmt.Sprintf("%.1f", r.event.BytesPerSec/1e6)
		}
		lines = append(lines, fmt.Sprintf("%-6s %-22s %-22s %10s  %.40s", name, strings.TrimPrefix(r.mode+"/"+r.state, "/"), bar(r.share()), rate, string(r.event.Phase)))
	}
	return append(lines, fmt.Sprintf("%.0f s", time.Since(b.since).Seconds()))
}

func (b *board) names() []string {
	names := make([]string, 0, len(b.rows))
	for n := range b.rows {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func bar(share float64) string {
	const width = 16
	full := min(int(share*width), width)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]" + fmt.Sprintf("%3.0f%%", share*100)
}

// summary is the board on one line: how many nodes are in each state.
func (b *board) summary() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	counts := map[string]int{}
	var share, rate float64
	for _, r := range b.rows {
		counts[r.state]++
		share += r.share()
		if r.event.Phase == vnode.PhaseLoading {
			rate += r.event.BytesPerSec
		}
	}
	var parts []string
	for state, n := range counts {
		if state == "" {
			state = "new"
		}
		parts = append(parts, fmt.Sprintf("%s %d", state, n))
	}
	sort.Strings(parts)
	return fmt.Sprintf("%4.0f s  loaded %3.0f%%  %6.1f MB/s  %s", time.Since(b.since).Seconds(), 100*share/float64(len(b.rows)), rate/1e6, strings.Join(parts, " · "))
}
