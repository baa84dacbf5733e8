package mfs

import "strings"

// params are the words of the kernel's command line.
type params []string

func parseParams(cmdline string) params { return strings.Fields(cmdline) }

// get is the value of the last name=value; "" if there is none.
func (p params) get(name string) (value string) {
	for _, word := range p {
		if key, v, ok := strings.Cut(word, "="); ok && key == name {
			value = v
		}
	}
	return value
}

// has reports whether a word stands alone.
func (p params) has(word string) bool {
	for _, w := range p {
		if w == word {
			return true
		}
	}
	return false
}

// kept are the words that the next kernel is to have too: where the console
// is, and what a panic does.
func (p params) kept() (words []string) {
	for _, word := range p {
		switch key, _, _ := strings.Cut(word, "="); key {
		case "console", "earlycon", "earlyprintk", "panic", "quiet", "loglevel":
			words = append(words, word)
		}
	}
	return words
}
