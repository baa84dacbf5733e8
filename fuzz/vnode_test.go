package fuzz

import (
	"strings"
	"testing"

	"hyzer/bench/vnode"
)

// FuzzFullConfig splits replies, and puts what was accepted together again.
func FuzzFullConfig(f *testing.F) {
	f.Add("*** nodeid\npc1\n*** nodeid\n*** rpms\n*** rpms\n")
	f.Add("*** a\n*** b\nx\n*** a\n")
	f.Fuzz(func(t *testing.T, reply string) {
		parts, err := vnode.ParseFullConfig(reply)
		if err != nil {
			return
		}
		for command, text := range parts {
			again, err := vnode.ParseFullConfig("*** " + command + "\n" + text + "*** " + command + "\n")
			if err != nil || again[command] != text {
				t.Errorf("%q: %q became %q, %v", command, text, again[command], err)
			}
		}
	})
}

// FuzzFault reads faults and writes them again.
func FuzzFault(f *testing.F) {
	for _, text := range []string{"", "dhcp", "hang@tbsetup:3", "slowdisk=77:1", "slowdisk"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := vnode.ParseFault(text)
		if err != nil {
			return
		}
		again, err := vnode.ParseFault(fault.String())
		if err != nil || again.String() != fault.String() {
			t.Errorf("%q: %q became %q, %v", text, fault, again, err)
		}
		if len(fault.String()) > len(text)+32 || strings.ContainsAny(fault.String(), "\n ") {
			t.Errorf("%q: %q", text, fault)
		}
	})
}
