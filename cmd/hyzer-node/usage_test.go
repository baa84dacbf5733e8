package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// oldPrograms are those whose command lines are read as getopt(3) does, with
// usage texts written by hand; the others' are made of their flags.
func oldPrograms() []string {
	return []string{
		"tmcc", "frisbee", "frisbeed", "frisupload",
		"imagezip", "imageunzip", "imagehash", "imagedelta", "imageundelta", "imagerezip", "imagedump",
	}
}

const optionLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// invalid begins what is said of an option that a program does not have.
const invalid = "invalid option -- "

// Options in a usage text: bundles of letters, and names.
var (
	usageLetters = regexp.MustCompile(`(?:^|[\s\[|(<,])-([A-Za-z0-9]+)`)
	usageNames   = regexp.MustCompile(`--([a-z0-9-]+)`)
)

// unlisted are options that old scripts may have, and nobody shall learn: -L
// prints the usage, -T fails, -0 is -o.
func unlisted() map[string]string {
	return map[string]string{"frisbeed": "L", "tmcc": "T", "imageunzip": "0"}
}

// told runs a program with one argument, with which none begins anything.
func told(program, argument string) string {
	var out bytes.Buffer
	run([]string{program, argument}, strings.NewReader(""), &out, &out)
	return out.String()
}

// TestUsage: each option that is taken is in the usage, and the other way round.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, program := range oldPrograms() {
		usage := told(program, "-h")
		usage = usage[max(0, strings.Index(usage, "usage: ")):]
		letters := ""
		for _, m := range usageLetters.FindAllStringSubmatch(usage, -1) {
			letters += m[1]
		}
		for _, c := range optionLetters {
			letter := string(c)
			if letter == "h" || strings.Contains(unlisted()[program], letter) {
				continue
			}
			taken := !strings.Contains(told(program, "-"+letter), invalid+"'"+letter+"'")
			if listed := strings.Contains(letters, letter); taken != listed {
				t.Errorf("%s -%s: taken %v, in the usage %v", program, letter, taken, listed)
			}
		}
		for _, m := range usageNames.FindAllStringSubmatch(usage, -1) {
			if text := told(program, "--"+m[1]); strings.Contains(text, invalid) {
				t.Errorf("%s --%s is in the usage: %s", program, m[1], text)
			}
		}
	}
}
