package main

import (
	"slices"
	"testing"
)

// TestArguments: a link named like the old program is its verb.
func TestArguments(t *testing.T) {
	t.Parallel()
	for _, c := range [][2][]string{
		{{"/usr/local/bin/hyzer", "node", "list"}, {"node", "list"}},
		{{"hyzer"}, {}},
		{{"/usr/testbed/sbin/bootinfosend", "-q", "pc1"}, {"bootinfosend", "-q", "pc1"}},
	} {
		if got := arguments(c[0]); !slices.Equal(got, c[1]) {
			t.Errorf("%q: %q, want %q", c[0], got, c[1])
		}
	}
}
