// Package netnstest gives tests a network in namespaces for as long as they
// run. Where there can be none, or a program is missing, they skip and say why.
package netnstest

import (
	"errors"
	"testing"

	"hyzer/bench/netns"
)

// New makes a network that goes away with the test.
func New(tb testing.TB, o netns.Options) *netns.Network {
	tb.Helper()
	n, err := netns.NewNetwork(o)
	check(tb, err)
	tb.Cleanup(func() {
		if err := n.Close(); err != nil {
			tb.Error(err)
		}
	})
	return n
}

// Command runs a program in a namespace, with that input.
func Command(tb testing.TB, in *netns.Namespace, input, name string, args ...string) {
	tb.Helper()
	check(tb, in.Command(input, name, args...))
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, netns.ErrUnavailable) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
}
