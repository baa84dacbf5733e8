package main

import (
	"bytes"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hyzer/bench/pages"
)

// TestPages: each command line on the project's pages has options that there
// are.
func TestPages(t *testing.T) {
	t.Parallel()
	programs := programs()
	found := pages.Commands(t, append(slices.Collect(maps.Keys(programs)), "hyzer-node")...)
	if len(found) < 50 {
		t.Errorf("%d command lines found", len(found))
	}
	for _, c := range found {
		words := c.Words
		if words[0] == "hyzer-node" {
			if words = words[1:]; len(words) == 0 {
				continue
			}
		}
		line := c.Page + ": " + strings.Join(c.Words, " ")
		switch {
		case programs[words[0]] == nil:
			t.Errorf("%s: there is no program %s", line, words[0])
		case slices.Contains(oldPrograms(), words[0]):
			oldOptions(t, line, words)
		default:
			flags(t, line, words)
		}
	}
}

// oldOptions gives a program one option more that it does not have, after one
// that may lack its value: that must be the first it does not know.
func oldOptions(t *testing.T, line string, words []string) {
	var out bytes.Buffer
	run(append(words, "-~", "-~"), strings.NewReader(""), &out, &out)
	if !strings.Contains(out.String(), invalid+"'~'") {
		t.Errorf("%s: %.200s", line, out.String())
	}
}

// flags looks for a program's flags in what it prints of them.
func flags(t *testing.T, line string, words []string) {
	usage := told(words[0], "-h")
	for _, w := range words[1:] {
		isFlag := strings.HasPrefix(w, "-") && !strings.HasSuffix(w, ")") // as of $(uname -r)
		if isFlag && !regexp.MustCompile(`\n  `+regexp.QuoteMeta(w)+`\s`).MatchString(usage) {
			t.Errorf("%s: no flag %s", line, w)
		}
	}
}
