package v5

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the example of docs/v5.md")

const (
	docFile      = "../../docs/v5.md"
	exampleBegin = "<!-- example -->\n"
	exampleEnd   = "<!-- end of example -->"
)

// exampleStream is the payload of the chunk in the documentation: a sector of
// 'A' and one of 'B'.
func exampleStream() []byte {
	return append(bytes.Repeat([]byte{'A'}, 512), bytes.Repeat([]byte{'B'}, 512)...)
}

// exampleHeader is a disk of ten sectors, of a delta: two of data, one free,
// four of zeros, one like the second, two free.
func exampleHeader() Header {
	h := Header{
		Codec: None, SectorBytes: 512, StreamBytes: 1024, Last: 10, End: 10, ImageVersion: 3, Delta: true,
		Records: []Record{{Data, 2, 0}, {Free, 1, 0}, {Zeros, 4, 0}, {Repeat, 1, 1}, {Free, 2, 0}},
		Relocs:  []Reloc{{Type: 1, Sector: 1, Offset: 0, Size: 276}},
	}
	copy(h.ImageID[:], "an image's name!")
	copy(h.Base[:], "what has to be on the disk: 32 b")
	return h
}

// example is the text in the documentation.
func example(t *testing.T) string {
	t.Helper()
	h := exampleHeader()
	chunk, err := h.Seal(nil, exampleStream())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("```\n")
	for _, line := range strings.SplitAfter(hex.Dump(chunk[:offTable+32]), "\n") {
		b.WriteString(line)
	}
	fmt.Fprintf(&b, "*\n%s*\n%s", hex.Dump(chunk[HeadBytes-16:][:16]), hex.Dump(chunk[HeadBytes:][:16]))
	b.WriteString("```\n")
	return b.String()
}

// TestExample holds the example of the documentation against the codec.
func TestExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), exampleBegin)
	old, after, ok2 := strings.Cut(rest, exampleEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the example", docFile)
	}
	want := example(t)
	if *rewrite {
		if err := os.WriteFile(docFile, []byte(before+exampleBegin+want+exampleEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != want {
		t.Errorf("the example in %s is not what the codec writes: run go test ./imaging/v5 -run TestExample -rewrite", docFile)
	}
}
