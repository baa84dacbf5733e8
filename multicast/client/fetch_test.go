package client

import (
	"strings"
	"testing"
	"time"
)

// TestFallback is the decision, in virtual time: what passed and was of use by
// the end of each second, and when chunks are fetched.
func TestFallback(t *testing.T) {
	t.Parallel()
	const mib = 1 << 10 // blocks
	type second struct{ heard, used uint64 }
	steady := func(n int, s second) (all []second) {
		for range n {
			all = append(all, s)
		}
		return all
	}
	for name, c := range map[string]struct {
		seconds []second
		want    string // one letter for each second: f fetches
	}{
		"silence":           {steady(25, second{}), "..........fffffffffffffff"},
		"good":              {steady(25, second{50 * mib, 50 * mib}), "........................."},
		"slow but steady":   {steady(25, second{40, 40}), "........................."},
		"a gap of nine":     {append(append(steady(3, second{mib, mib}), steady(9, second{})...), steady(9, second{mib, mib})...), "....................."},
		"for others":        {steady(12, second{50 * mib, 20}), "..........ff"},
		"half for others":   {steady(12, second{50 * mib, 25 * mib}), "............"},
		"slow, for others":  {steady(12, second{mib, 20}), "..........ff"},
		"nothing of use":    {steady(12, second{50 * mib, 0}), "..........ff"},
		"comes back":        {append(steady(12, second{}), steady(22, second{mib, mib})...), "..........ffffffffff.............."},
		"goes away":         {append(steady(12, second{mib, mib}), steady(20, second{})...), "..............................ff"},
		"one block a while": {append(steady(9, second{}), second{1, 1}, second{}), "..........."},
	} {
		f := fallback{after: 10 * time.Second}
		now := time.Unix(1000, 0)
		var heard, used uint64
		f.look(now, 0, 0)
		var got strings.Builder
		for _, s := range c.seconds {
			now = now.Add(time.Second)
			heard, used = heard+s.heard, used+s.used
			got.WriteByte(map[bool]byte{false: '.', true: 'f'}[f.look(now, heard, used)])
		}
		// The letter of a second is what holds from its end on.
		if want := c.want[1:]; !strings.HasPrefix(got.String(), want) {
			t.Errorf("%s:\n got %s\nwant %s", name, got.String(), want)
		}
	}
}
