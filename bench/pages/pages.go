// Package pages reads the project's pages for tests, which hold what they tell
// people to type against the programs.
package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// Command is a command line on a page.
type Command struct {
	Page  string
	Words []string // the program's name first, without its folder
}

// Code on a page: fenced or indented lines, and spans in the text.
var (
	span = regexp.MustCompile("`[^`\n]+`")
	word = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s]+`)
)

// Commands are the command lines on all pages that begin with one of programs.
func Commands(t testing.TB, programs ...string) []Command {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "..", "..")
	var found []Command
	for _, pattern := range []string{"*.md", "docs/*.md", "netsvc/*/README.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no pages are %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range code(string(text)) {
				for _, c := range commands(line, programs) {
					found = append(found, Command{Page: filepath.Base(file), Words: c})
				}
			}
		}
	}
	return found
}

// code is the lines and spans of code on a page.
func code(text string) (lines []string) {
	fenced := false
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced || strings.HasPrefix(line, "    "):
			lines = append(lines, line)
		default:
			for _, s := range span.FindAllString(line, -1) {
				lines = append(lines, strings.Trim(s, "`"))
			}
		}
	}
	return lines
}

// commands are the command lines of a line, up to its comment and what goes to
// a file. The brackets of a synopsis are left out.
func commands(line string, programs []string) (found [][]string) {
	line = strings.NewReplacer("[", " ", "]", " ").Replace(line)
	var words []string
	end := func() {
		if len(words) > 0 && slices.Contains(programs, words[0]) {
			found = append(found, words)
		}
		words = nil
	}
	for _, w := range word.FindAllString(line, -1) {
		if w == "|" {
			end()
			continue
		}
		if w == ">" || strings.HasPrefix(w, "#") {
			break
		}
		if w = strings.Trim(w, `"'`); len(words) == 0 {
			w = filepath.Base(w)
		}
		words = append(words, w)
	}
	end()
	return found
}
