package unzip_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// TestPatternAndReport fills free space with a pattern, and reads what is said
// at the end.
func TestPatternAndReport(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	in := f.write("x.ndz", golden(t, "ext2-1k.ndz.gz"))
	pattern := binary.LittleEndian.AppendUint32(nil, 0xdeadbeef)
	code, _, text := run(nil, "-p", "0xdeadbeef", in, f.path("disk"))
	disk := f.read("disk")
	// The words that the C program writes for this image.
	if n := bytes.Count(disk, pattern); code != 0 || len(disk) != 20971520 || n != 4*1203264 {
		t.Errorf("exit %d, %d bytes, %d words of the pattern", code, len(disk), n)
	}
	for _, want := range []string{
		"Decompressed 1719296 bytes, wrote 20971520 bytes (20971520 actual) in ",
		"20971520 bytes of data in ", "  1719296 bytes of disk data in ", "  19252224 bytes of zero data in ", " max memory\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	code, _, text = run(nil, "-nO", in, f.path("disk"))
	if code != 0 || !strings.Contains(text, "(1719296 actual)") || strings.Contains(text, "zero data") {
		t.Errorf("without -z: exit %d, %s", code, text)
	}
	if code, _, text = run(nil, "-p", "x", in, f.path("disk")); code != 1 || !strings.Contains(text, "option -p") {
		t.Errorf("bad pattern: exit %d, %s", code, text)
	}
	if code, _, text = run(nil, "-p", "1", in); code != 1 || !strings.Contains(text, "whole disk or file") {
		t.Errorf("pattern to a pipe: exit %d, %s", code, text)
	}
}
