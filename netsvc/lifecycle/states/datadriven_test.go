package states

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what the machine does into testdata/machine/*.txt")

// runData replays a file of blocks: input lines, "----", expected lines, an
// empty line. Lines from "#" on are comments and stand outside blocks. With
// -rewrite the expected lines are replaced.
func runData(t *testing.T, path string, run func(input []string) (string, error)) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for block := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n\n") {
		comment, input, want := splitBlock(block)
		got := ""
		if len(input) > 0 {
			if got, err = run(input); err != nil {
				t.Fatalf("%s: %s: %v", path, strings.Join(input, " / "), err)
			}
		}
		if got != want && !*rewrite {
			t.Errorf("%s:\n%s\n got:\n%s\nwant:\n%s", path, strings.Join(input, "\n"), got, want)
		}
		writeBlock(&out, comment, input, got)
	}
	if *rewrite {
		if err := os.WriteFile(path, bytes.TrimSuffix(out.Bytes(), []byte("\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func splitBlock(block string) (comment, input []string, want string) {
	head, want, _ := strings.Cut(block, "\n----\n")
	head = strings.TrimSuffix(head, "\n----")
	for line := range strings.SplitSeq(head, "\n") {
		if strings.HasPrefix(line, "#") {
			comment = append(comment, line)
		} else {
			input = append(input, line)
		}
	}
	return comment, input, want
}

func writeBlock(out *bytes.Buffer, comment, input []string, got string) {
	for _, line := range append(comment, input...) {
		fmt.Fprintln(out, line)
	}
	if len(input) > 0 {
		fmt.Fprintln(out, "----")
		if got != "" {
			fmt.Fprintln(out, got)
		}
	}
	fmt.Fprintln(out)
}

func dataFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return files
}
