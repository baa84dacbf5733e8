package house

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestHouse checks this source tree.
func TestHouse(t *testing.T) {
	t.Parallel()
	found, err := Check("../..", "testdata/allowed.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range found {
		t.Errorf("%s", o)
	}
}

// TestAlone: the Makefile leaves the race detector out where the house knows
// of it.
func TestAlone(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^ALONE := \^hyzer/(\w+)/\(([\w|/]+)\)`).FindSubmatch(text)
	if found == nil {
		t.Fatal("no ALONE in the Makefile")
	}
	var rooms []string
	for name := range strings.SplitSeq(string(found[2]), "|") {
		rooms = append(rooms, string(found[1])+"/"+name)
	}
	if !slices.Equal(rooms, aloneRooms()) {
		t.Errorf("the Makefile has %q, the house %q", rooms, aloneRooms())
	}
}

// TestRules shows each rule an offence, and what is none.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, text string
		want       string // "line rule" of each offence
	}{
		{"imaging/freemap/a.go", "package freemap\nimport \"sync\"\nfunc f() { go f() }", "3 goroutine, 2 goroutine"},
		{"imaging/zip/a.go", "package zip\nimport \"sync\"\nfunc f() { go f() }", ""},

		{"netsvc/dhcp/a.go", "package dhcp\nimport \"hyzer/netsvc/tftp\"", "2 arrow"},
		{"netsvc/dhcp/a.go", "package dhcp\nimport \"hyzer/netsvc/lifecycle/states\"", ""},
		{"netsvc/dhcp/sub/a.go", "package sub\nimport \"hyzer/netsvc/dhcp\"", ""},
		{"netsvc/dhcpx/a.go", "package dhcpx", "1 arrow"},
		{"netsvc/dhcp/a_test.go", "package dhcp\nimport \"hyzer/netsvc/tftp\"", ""},
		{"imaging/ndz/a.go", "package ndz\nimport \"hyzer/storage/kv\"", "2 arrow"},
		{"storage/kv/a.go", "package kv\nimport \"hyzer/imaging/ndz\"", "2 arrow"},
		{"multicast/server/a.go", "package server\nimport \"hyzer/imaging/ndz\"", "2 arrow"},
		{"multicast/client/a.go", "package client\nimport \"hyzer/imaging/ndz\"", ""},
		{"netsvc/lifecycle/wait/a.go", "package wait\nimport \"hyzer/netsvc/tmcd\"", "2 arrow"},
		{"cmd/hyzer/a.go", "package main\nimport \"hyzer/netsvc/appliance\"", "2 arrow"},
		{"cmd/hyzerd/a.go", "package main\nimport \"hyzer/storage/kv\"", "2 arrow"},
		{"bench/a.go", "package bench\nimport \"hyzer/netsvc/tmcd\"", ""},

		{"netsvc/tmcd/wire.go", "package tmcd\nimport (\n\"net\"\n\"net/netip\"\n)", "3 codec"},
		{"netsvc/tmcd/wire.go", "package tmcd\nimport \"time\"\nvar x = time.Second\nfunc f() { time.Now() }", "4 codec"},
		{"multicast/wire/a.go", "package wire\nimport \"os\"", "2 codec"},
		{"storage/kv/a.go", "package kv\nimport \"net\"", "2 network"},
		{"storage/kv/a.go", "package kv\nimport \"net/netip\"", ""},

		{"bench/a.go", "package bench\nfunc f() {" + strings.Repeat("\n", functionLinesMax) + "}", "2 length"},
		{"bench/a.go", "package bench\nfunc f() {" + strings.Repeat("\n", functionLinesMax-1) + "}", ""},
		{"bench/a_test.go", "package bench\nfunc f() {" + strings.Repeat("\n", functionLinesMax) + "}", ""},

		{"bench/a_test.go", "package bench\nimport \"time\"\nfunc f() { time.Sleep(1) }", "3 sleep"},
		{"bench/a_test.go", "package bench\nimport \"time\"\nimport _ \"testing/synctest\"\nfunc f() { time.Sleep(1) }", ""},

		{"bench/a.go", "package bench\nvar a = map[string]int{}", "2 variable"},
		{"bench/a.go", "package bench\nvar a, b = 1, []int{1}", "2 variable"},
		{"bench/a.go", "package bench\nvar (\na []byte\nb = &T{}\nc *T\nd = make(chan int)\n)", "3 variable, 4 variable, 5 variable, 6 variable"},
		{"bench/a.go", "package bench\nvar a = []byte(\"x\")", "2 variable"},
		{"bench/a.go", "package bench\nvar a = [...]int{1}\nvar b = errors.New(\"x\")\nvar c = regexp.MustCompile(\"x\")\nvar d sync.Once\nvar e = sync.OnceValue(f)\nvar _ I = (*T)(nil)\nvar g = \"x\"", ""},
		{"bench/a_test.go", "package bench\nvar a = []int{1}\nvar b = map[int]int{}\nvar c []int", "3 variable, 4 variable"},
		{"bench/a.go", "package bench\n//go:embed x\nvar a []byte", ""},

		{"bench/a.go", "package bench\nconst a = \"/wo" + "rk/x\"", "2 path"},
		{"bench/a.go", "package bench\n// see /ro" + "ot/x\nconst a = 1", "2 path"},
		{"bench/a.go", "package bench\nconst a = \"/net/work/x\"\nconst b = \"ftp://x/work/\"", ""},
	} {
		f, err := parse(c.path, c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := summary(checkFile(f)); got != c.want {
			t.Errorf("%s\n%s\ngot %q, want %q", c.path, c.text, got, c.want)
		}
	}
}

// TestTreeRules: rules that look at more than one file.
func TestTreeRules(t *testing.T) {
	t.Parallel()
	var files []*file
	for _, c := range [][2]string{
		{"bench/a/a.go", "package a"},
		{"bench/b/b.go", "package b"},
		{"bench/b/doc.go", "// Package b is said.\npackage b"},
		{"pkg/util/x.go", "// Package util is lost.\npackage util"},
		{"main.go", "// Command x.\npackage main"},
	} {
		f, err := parse(c[0], c[1])
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if got, want := summary(append(packageComments(files), topLevel(files)...)), "1 comment, 2 folder, 2 folder"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func summary(found []Offence) string {
	var words []string
	for _, o := range found {
		place := strings.TrimPrefix(o.String(), o.File+":")
		line, rest, _ := strings.Cut(place, ": ")
		rule, _, _ := strings.Cut(rest, ":")
		words = append(words, line+" "+rule)
	}
	return strings.Join(words, ", ")
}
