package delta_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/bench/shared"
	"hyzer/imaging/delta"
)

// TestCommands runs imagedelta and imageundelta, with signatures and without.
func TestCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	now := time.Now().Truncate(time.Second)
	for name, file := range map[string]string{
		"a": "ext4-4k.ndz.gz", "a.sig": "ext4-4k.sig.gz", "b": "ext4-4k.new.ndz.gz", "b.sig": "ext4-4k.new.sig.gz",
		"old": "ext4-4k.ndz.gz", "old.sig": "ext4-4k.sig.gz", "wrong": "ext4-4k.ndz.gz", "wrong.sig": "ext4-4k.new.sig.gz",
	} {
		if err := os.WriteFile(path(name), shared.ReadGzip(t, "vectors/ndz/"+file), 0o600); err != nil {
			t.Fatal(err)
		}
		mtime := now
		if name == "old.sig" {
			mtime = now.Add(-time.Minute)
		}
		if err := os.Chtimes(path(name), mtime, mtime); err != nil {
			t.Fatal(err)
		}
	}
	_, sums := sums(t)
	for _, c := range []struct {
		args string
		code int
		text string
		made string // image that must restore to the golden undelta
	}{
		{"delta -S -F a b d", 0, "d: 1344 sectors, 7.5% of full image (17992 sectors)\n", ""},
		{"undelta -S a d n", 0, "", "n"},
		{"undelta a d n", 0, "", "n"},
		{"delta a b e", 0, "e: 1344 sectors, 7.5% of full image", ""},
		{"undelta a e n", 0, "", "n"},
		{"undelta b e n", 1, "e on b: delta was made for another base", ""},
		{"undelta wrong e n", 0, "", "n"}, // by its hashes: the signature beside it is another's
		{"delta -S -V a b d", 0, "7.5%", ""},
		{"delta -S -V wrong b x", 1, "hashes are not of the image", ""},
		{"delta -S old b x", 1, "not as old as its image", ""},
		{"delta -S -f old b x", 0, "7.5%", ""},
		{"delta -S a a same", 0, "images are identical, the delta is empty", ""},
		{"undelta a same d n", 0, "", "n"},
		{"undelta a d same n", 1, "same on d: delta was made for another base", ""},
		{"delta -S n n same2", 0, "the delta is empty", ""},
		{"undelta -S a same d n2", 1, "d.sig is not the signature of all", ""},
		{"delta -S -F a b d", 0, "7.5%", ""},
		{"undelta -S a same d n2", 0, "", "n2"},
		{"delta a none x", 1, "no such file", ""},
		{"delta a b", 1, "usage: imagedelta", ""},
		{"undelta a", 1, "usage: imageundelta", ""},
	} {
		f := strings.Fields(c.args)
		var args []string
		for _, a := range f[1:] {
			if a[0] != '-' {
				a = path(a)
			}
			args = append(args, a)
		}
		run := delta.Main
		if f[0] == "undelta" {
			run = delta.MainUndelta
		}
		var stdout, stderr bytes.Buffer
		code := run(args, nil, &stdout, &stderr)
		text := strings.ReplaceAll(stdout.String()+stderr.String(), dir+"/", "")
		if code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: exit %d, want %d and %q; %s", c.args, code, c.code, c.text, text)
			continue
		}
		if c.made != "" {
			image, err := os.ReadFile(path(c.made))
			if err != nil {
				t.Fatal(err)
			}
			if restore(t, false, image) != sums["ext4-4k.undelta.ndz"] {
				t.Errorf("%s: made another disk than the C program's", c.args)
			}
		}
	}
	if left, _ := filepath.Glob(path(".*tmp*")); len(left) > 0 {
		t.Errorf("left %v behind", left)
	}
}
