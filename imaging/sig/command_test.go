package sig_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/sig"
)

// TestCommand runs imagehash in all its ways.
func TestCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	disk := shared.ReadGzip(t, "vectors/ndz/"+"ext2-1k.img.gz")
	write("x.ndz", shared.ReadGzip(t, "vectors/ndz/"+"ext2-1k-z0.ndz.gz"))
	write("disk", disk)
	write("short", disk[:1<<20])
	write("reg", append(bytes.Clone(disk[:64<<10+512]), "abc"...))
	disk[30] ^= 1
	disk[17000<<9] ^= 1
	write("bad", disk)
	write("junk", []byte("junk"))
	report := string(shared.ReadFile(t, "vectors/ndz/ext2-1k-z0.report.txt"))
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"-R -q x.ndz", 0, report},
		{"x.ndz disk", 0, "x.ndz: 2 chunks, 0 of 29 hashes bad"}, // no signature yet
		{"-c x.ndz", 0, "0 of 29 hashes bad, 29 hashregions, 1719296 data bytes"},
		{"-q x.ndz disk", 0, ""},
		{"x.ndz bad", 1, "bad: 2 regions (1 chunks) had bad hashes, 131072 bytes affected"},
		{"-q x.ndz bad", 1, "bad: 2 regions (1 chunks) had bad hashes, 131072 bytes affected"},
		{"-T x.ndz disk", 0, "0 of 29 hashes bad, 29 hashregions"},
		{"-d x.ndz bad", 1, "chunk 0: sectors [0-127]: "},
		{"-S x.ndz", 0, ""},
		{"-o y.sig -c -X -D md5 -b 4096 x.ndz", 0, "hashregions"},
		{"-o y.sig -S x.ndz", 0, ""},
		{"-o y.sig x.ndz disk", 0, ""},
		{"-o junk x.ndz disk", 2, "not a signature"},
		{"-o y.sig x.ndz short", 3, "reading sectors"},
		{"x.ndz none", 3, "no such file"},
		{"-c junk", 2, "ends inside a chunk"},
		{"-D raw x.ndz disk", 0, "x.ndz: 0 of 29 blocks differ"},
		{"-D raw -d x.ndz bad", 1, "chunk 0: sectors [0-127] differ\n"},
		{"-D raw x.ndz bad", 1, "bad: 2 regions (1 chunks) had bad hashes, 131072 bytes affected"},
		{"-D raw x.ndz short", 3, "short: disk cannot be read at byte "},
		{"-D raw -c x.ndz", 1, "compares an image with a device"},
		{"-r -c reg", 0, "reg: 1 chunks, 0 of 3 hashes bad, 3 hashregions, 66048 data bytes"},
		{"-r -S reg", 0, ""},
		{"-r -R reg", 0, "588b3cbbf2e61821255bc93023e092e6596ce8b0\t0\t128\n1e7e46b7a973ac49275f1a103d533416dc5f4400\t128\t1\na9993e364706816aba3e25717850c26c9cd0d89d\t129\t0\n"},
		{"-R -o reg.sig", 0, "[128-128] (1): chunk 0, hash 1e7e46b7a973ac49275f1a103d533416dc5f4400\n[129-128] (0): chunk 3, hash a9993e36"},
		{"-r -o y.sig -S reg", 1, "is not what"},
		{"-r reg disk", 1, "option -r needs"},
		{"-D sha3 -c x.ndz", 1, "unknown hash"},
		{"-b 100 -c x.ndz", 1, "in whole sectors"},
		{"x.ndz", 1, "usage: imagehash"},
	} {
		var stdout, stderr bytes.Buffer
		var args []string
		for _, a := range strings.Fields(c.args) {
			if strings.Contains(" x.ndz reg disk short bad junk none y.sig reg.sig ", " "+a+" ") {
				a = filepath.Join(dir, a)
			}
			args = append(args, a)
		}
		code := sig.Main(args, nil, &stdout, &stderr)
		text := stdout.String() + stderr.String()
		if code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: exit %d, want %d and %q; %s", c.args, code, c.code, c.text, text)
		}
		if strings.HasPrefix(c.args, "-q") && (c.text == "" && text != "" || strings.Contains(text, "hashregions")) {
			t.Errorf("%s: printed %q", c.args, text)
		}
	}
	a, errA := os.Stat(filepath.Join(dir, "x.ndz"))
	b, errB := os.Stat(filepath.Join(dir, "x.ndz.sig"))
	if errA != nil || errB != nil || !a.ModTime().Equal(b.ModTime()) {
		t.Error("signature does not have the image's time")
	}
}
