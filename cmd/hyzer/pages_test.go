package main

import (
	"bytes"
	"strings"
	"testing"

	"hyzer/bench/pages"
)

// TestPages: each command line on the project's pages has a verb and flags that
// there are.
func TestPages(t *testing.T) {
	t.Parallel()
	found := pages.Commands(t, "hyzer")
	if len(found) < 50 {
		t.Errorf("%d command lines found", len(found))
	}
	for _, c := range found {
		if len(c.Words) < 2 || c.Words[1] == "VERB" {
			continue
		}
		var out, errs bytes.Buffer
		if status := run(t.Context(), append(c.Words[1:], "--help"), noEnv, strings.NewReader(""), &out, &errs); status != exitOK {
			t.Errorf("%s: %s: %s", c.Page, strings.Join(c.Words, " "), errs.String())
		}
	}
}
