package unzip_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"hyzer/imaging/internal/sigtest"
)

// TestDeltaCommand lays deltas over a disk file with imageunzip.
func TestDeltaCommand(t *testing.T) {
	t.Parallel()
	c := madeChain(t)
	f := files{t, t.TempDir()}
	in, base, after := f.write("x.ddz", c.delta), f.write("base.sig", sigtest.Bytes(t, c.baseSig)), f.write("after.sig", sigtest.Bytes(t, c.after))
	for _, x := range []struct {
		args string
		code int
		text string
	}{
		{"", 1, "say which base is on the target"},
		{"-z --any-base", 1, "leave out -z"},
		{"--base " + after, 1, "for another base"},
		{"--base-id 77", 1, "want 64 hex digits"},
		{"--base=" + base, 0, ""},
		{"-K --base " + base, 0, ""},
		{"--base-id " + c.baseSig.ID().String(), 0, ""},
		{"--any-base", 0, ""},
	} {
		out := f.write("disk", c.old)
		code, _, text := run(nil, append(strings.Fields(x.args), in, out)...)
		if code != x.code || !strings.Contains(text, x.text) {
			t.Errorf("%s: exit %d, want %d and %q; %s", x.args, code, x.code, x.text, text)
		}
		want := c.old
		if code == 0 {
			want = c.now
		}
		if !bytes.Equal(f.read("disk"), want) {
			t.Errorf("%s: wrong disk", x.args)
		}
	}
}

// TestResume goes on with restores that were cut off.
func TestResume(t *testing.T) {
	t.Parallel()
	c := madeChain(t)
	f := files{t, t.TempDir()}
	in, sigPath := f.write("x.ndz", c.base), f.write("x.ndz.sig", sigtest.Bytes(t, c.baseSig))
	other := f.write("other.sig", sigtest.Bytes(t, c.after))
	out := f.path("disk")
	for _, x := range []struct {
		args string
		disk []byte
		text string // of the data written
	}{
		{"--resume", c.old[:2<<20], " bytes in 2 chunks that were"},
		{"--resume", append(bytes.Clone(c.old), 1, 2, 3), "Kept 6291456 bytes in 7 chunks"},
		{"--signature " + sigPath, c.now, "Kept "},
	} {
		f.write("disk", x.disk)
		code, _, text := run(nil, append(strings.Fields(x.args), in, out)...)
		if code != 0 || !strings.Contains(text, x.text) || !bytes.Equal(f.read("disk"), c.old) {
			t.Errorf("%s: exit %d, want %q: %s", x.args, code, x.text, text)
		}
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(sigPath, old, old); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--resume":               "is not as old as its image",
		"--signature " + other:   "signature is of another image",
		"--signature " + in:      "not a signature",
		"--signature none":       "no such file",
		"--resume --base=" + out: "not a signature",
	} {
		f.write("disk", c.now)
		code, _, text := run(nil, append(strings.Fields(args), in, out)...)
		if code != 1 || !strings.Contains(text, want) {
			t.Errorf("%s: exit %d, want %q: %s", args, code, want, text)
		}
	}
}
