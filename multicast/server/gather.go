package server

import "time"

// Clients of one image mostly start together. What is sent before the last of
// them has joined has to be sent again for it, so the first blocks wait a
// moment for others.
const (
	// gatherFirst is how long the first client waits alone. When there are others
	// the next has gatherGaps times as long as the longest that one of them took,
	// gatherMore at least.
	gatherFirst = 20 * time.Millisecond
	gatherMore  = 100 * time.Millisecond
	gatherGaps  = 4
	// GatherDefault is how long the first client may wait in all.
	GatherDefault = time.Second
	// gatherRest is the silence after which clients are waited for again.
	gatherRest = 10 * time.Second
)

// gather is the wait for clients that start together. Its end is bounded,
// whatever strangers send; in a session with a key they do not count.
type gather struct {
	max    time.Duration // 0: off
	until  time.Time
	latest time.Time
	lastAt time.Time     // when the last one came
	gap    time.Duration // longest between two
	sentAt time.Time     // when something was last sent
}

// joined notes a client that was not there before.
func (g *gather) joined(now time.Time) {
	switch {
	case now.Before(g.until):
		g.gap = max(g.gap, now.Sub(g.lastAt))
		g.until = now.Add(max(gatherMore, gatherGaps*g.gap))
	case g.max > 0 && (g.sentAt.IsZero() || now.Sub(g.sentAt) > gatherRest):
		g.until, g.latest, g.sentAt, g.gap = now.Add(gatherFirst), now.Add(g.max), now, 0
	}
	g.lastAt = now
	if g.until.After(g.latest) {
		g.until = g.latest
	}
}

// on says whether blocks still wait.
func (g *gather) on(now time.Time) bool { return now.Before(g.until) }
