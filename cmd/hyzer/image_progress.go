package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	barEvery  = 200 * time.Millisecond // how often the bar of a terminal moves
	lineEvery = time.Second            // how often JSON tells of progress
	barRunes  = 24
)

// meter shows how far an operation on an image is: a bar on a terminal, lines
// with --json, and nothing else. It may be used by several goroutines.
type meter struct {
	e     *env
	what  string
	now   func() time.Time
	every time.Duration // 0: show nothing

	mu          sync.Mutex
	total       int64
	start, last time.Time
	drawn       int // runes of the bar on the terminal
}

func (e *env) meter(what string) *meter {
	m := &meter{e: e, what: what, now: time.Now}
	switch {
	case e.json:
		m.every = lineEvery
	case isTerminal(e.errs):
		m.every = barEvery
	}
	m.start = m.now()
	m.last = m.start
	return m
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// of sets how many bytes there are to do.
func (m *meter) of(total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = total
}

// at tells how many bytes are done.
func (m *meter) at(done int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if m.every == 0 || now.Sub(m.last) < m.every {
		return
	}
	m.last = now
	p := m.progress(done, now)
	if m.e.json {
		m.line(p)
		return
	}
	m.draw(p.bar())
}

// progress is one report.
type progress struct {
	Event          string  `json:"event"`
	What           string  `json:"what"`
	DoneBytes      int64   `json:"done_bytes"`
	TotalBytes     int64   `json:"total_bytes,omitempty"`
	BytesPerSecond int64   `json:"bytes_per_second"`
	ETASeconds     float64 `json:"eta_seconds,omitempty"`
}

func (m *meter) progress(done int64, now time.Time) progress {
	seconds := max(now.Sub(m.start).Seconds(), 1e-3)
	p := progress{Event: "progress", What: m.what, DoneBytes: done, TotalBytes: m.total, BytesPerSecond: int64(float64(done) / seconds)}
	if p.BytesPerSecond > 0 && m.total > done {
		p.ETASeconds = float64((m.total-done)/p.BytesPerSecond) + 1
	}
	return p
}

// bar is the progress for people.
func (p progress) bar() string {
	rate := size(p.BytesPerSecond) + "/s"
	if p.TotalBytes == 0 {
		return fmt.Sprintf("%s %s, %s", p.What, size(p.DoneBytes), rate)
	}
	share := min(1, float64(p.DoneBytes)/float64(p.TotalBytes))
	full := int(share * barRunes)
	return fmt.Sprintf("%s [%s%s] %3.0f%% of %s, %s, %s left", p.What, strings.Repeat("#", full), strings.Repeat(".", barRunes-full),
		100*share, size(p.TotalBytes), rate, (time.Duration(p.ETASeconds) * time.Second))
}

func (m *meter) draw(bar string) {
	fmt.Fprintf(m.e.errs, "\r%s%s", bar, strings.Repeat(" ", max(0, m.drawn-len(bar))))
	m.drawn = len(bar)
}

// line prints v as one line of JSON.
func (m *meter) line(v any) {
	if b, err := json.Marshal(v); err == nil {
		m.e.printf("%s\n", b)
	}
}

// warn tells of something that is no fault.
func (m *meter) warn(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	if m.e.json {
		m.line(map[string]string{"event": "warning", "text": text})
		return
	}
	fmt.Fprintf(m.e.errs, "warning: %s\n", printable(text))
}

// tell prints a part of the result: v as a line with --json, else its text.
func (m *meter) tell(v fmt.Stringer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
	if m.e.json {
		m.line(v)
		return
	}
	m.e.printf("%s\n", v)
}

// end takes the bar away.
func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear()
}

func (m *meter) clear() {
	if m.drawn > 0 {
		m.draw("")
		fmt.Fprint(m.e.errs, "\r")
		m.drawn = 0
	}
}

// done prints the result: v as a line with --json, else the text.
func (m *meter) done(v any, format string, args ...any) error {
	m.end()
	if m.e.json {
		m.line(v)
		return nil
	}
	m.e.printf(format+"\n", args...)
	return nil
}

// took is how long it was.
func (m *meter) took() time.Duration { return m.now().Sub(m.start).Round(time.Millisecond) }

// size is a number of bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/unit, 0
	for v >= unit && i < 4 {
		v, i = v/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, "KMGTP"[i])
}
