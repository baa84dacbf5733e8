package imaging_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/bench/tools"
	"hyzer/imaging/delta"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// oldTools runs the old C programs as they are, in a folder that
// HYZER_C_IMAGING names.
type oldTools struct {
	t   *testing.T
	bin string
	dir string
}

func newOldTools(t *testing.T) *oldTools {
	t.Helper()
	bin := os.Getenv("HYZER_C_IMAGING")
	if bin == "" {
		t.Skip("HYZER_C_IMAGING names no folder with the old programs")
	}
	return &oldTools{t: t, bin: bin, dir: t.TempDir()}
}

func (o *oldTools) path(name string) string { return filepath.Join(o.dir, name) }

func (o *oldTools) write(name string, data []byte) {
	o.t.Helper()
	if err := os.WriteFile(o.path(name), data, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// args have the files of the test for words that begin with @.
func (o *oldTools) args(text string) []string {
	return strings.Fields(strings.ReplaceAll(text, "@", o.dir+"/"))
}

// old runs an old program, which must succeed.
func (o *oldTools) old(name, args string) string {
	o.t.Helper()
	out, err := exec.Command(filepath.Join(o.bin, name), o.args(args)...).CombinedOutput()
	if err != nil {
		o.t.Errorf("old %s %s: %v\n%.500s", name, args, err, out)
	}
	return string(out)
}

// ours runs one of our programs, which must succeed.
func (o *oldTools) ours(main func([]string, io.Reader, io.Writer, io.Writer) int, args string) {
	o.t.Helper()
	var out bytes.Buffer
	if code := main(o.args(args), nil, &out, &out); code != 0 {
		o.t.Errorf("%s: exit status %d\n%.500s", args, code, out.String())
	}
}

// same holds two files against each other.
func (o *oldTools) same(what, a, b string) {
	o.t.Helper()
	x, errA := os.ReadFile(o.path(a))
	y, errB := os.ReadFile(o.path(b))
	if errA != nil || errB != nil || len(x) == 0 || !bytes.Equal(x, y) {
		o.t.Errorf("%s: %s of %d bytes and %s of %d differ: %v", what, a, len(x), b, len(y), errors.Join(errA, errB))
	}
}

// oldDisks are what images are made of, with the options of imagezip.
func oldDisks() map[string][]string {
	return map[string][]string{
		"ext2-1k": {"-l", "-1 -l", "-z 0", "-z 1", "-z 9", "-F 1", "-F 0", "-Y", "--best"},
		"ext4-4k": {"", "-x"}, "ext4-64bit": {""}, "ext4-bigalloc": {""}, "ext4-frag-F0": {"-F 0", "-1 -F 0"},
		"mbr": {"", "-1", "-s 1", "-s 2", "-s 3", "-I 1", "-R 1", "-r"}, "mbr-extended": {"", "-s 5"},
		"gpt": {"", "-s 3"}, "bsd-mbr": {"", "-s 1", "-N -s 1"}, "lilo-slice1": {"", "-s 1"},
		"fat12": {""}, "fat32": {""}, "ntfs": {""}, "ufs2": {""}, "swap": {"-S 130"}, "raw": {"-r", "-r -z 0", "-1 -r"}, "file-odd": {"-f"},
		"noise": {"-r", "-r -z 0", "-1 -r", "-r -z 9", "-r -U @n.sig"}, "holes": {"-F 0", "-F 0 -1", "-F 0 -z 0"},
	}
}

// noiseDisk is of several chunks.
func noiseDisk() []byte {
	b := make([]byte, 6<<20)
	rand.NewChaCha8([32]byte{8}).Read(b[:5<<20])
	return b
}

// TestOldPrograms has the old programs restore, check and hash every kind of
// image that we make: each restores to what ours restores.
func TestOldPrograms(t *testing.T) {
	t.Parallel()
	newOldTools(t)
	for disk, options := range oldDisks() {
		t.Run(disk, func(t *testing.T) {
			t.Parallel()
			o := newOldTools(t)
			switch disk {
			case "noise":
				o.write("disk", noiseDisk())
			case "holes":
				o.write("disk", shared.ReadGzip(t, "vectors/ndz/ext4-frag-F0.img.gz"))
			default:
				o.write("disk", shared.ReadGzip(t, "vectors/ndz/"+disk+".img.gz"))
			}
			for i, args := range options {
				image := fmt.Sprintf("%d.ndz", i)
				o.ours(zip.Main, args+" @disk @"+image)
				o.image(args, image)
				if strings.Contains(args, "-s 1") {
					o.slice(args, image)
				}
			}
		})
	}
}

// image restores an image with both, as it is and with zeros for free space.
func (o *oldTools) image(what, image string) {
	o.t.Helper()
	for _, zero := range []string{"", "-z "} {
		o.old("imageunzip", "-n "+zero+"@"+image+" @old")
		o.ours(unzip.Main, zero+"@"+image+" @new")
		// Without -z the old program ends a file at the end of its data.
		cut(o.t, o.path("new"), o.path("old"))
		o.same(what+" "+zero, "old", "new")
	}
	o.old("imagedump", "-dd @"+image)
	o.old("imagehash", "-c -X -q -o @old.sig @"+image)
	o.ours(sig.Main, "-c -X -q -o @new.sig @"+image)
	o.same(what+" signature", "old.sig", "new.sig")
}

// cut makes a file as short as another.
func cut(t *testing.T, path, as string) {
	t.Helper()
	info, err := os.Stat(as)
	if err == nil && info.Size() > 0 {
		err = os.Truncate(path, info.Size())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// slice restores into a partition elsewhere.
func (o *oldTools) slice(what, image string) {
	o.t.Helper()
	garbage := bytes.Repeat([]byte{0xa5}, 20<<20)
	clear(garbage[446:510])
	copy(garbage[446:], []byte{0x80, 1, 1, 0, 0x83, 0xfe, 0xff, 0xff, 0x09, 0x03, 0, 0, 0, 0x90, 0, 0})
	garbage[510], garbage[511] = 0x55, 0xaa
	o.write("old", garbage)
	o.write("new", garbage)
	device, detach := tools.Loop(o.t, o.path("old")) // it empties files
	o.old("imageunzip", "-n -s 1 @"+image+" "+device)
	detach()
	o.ours(unzip.Main, "-s 1 @"+image+" @new")
	o.same(what+" into a partition", "old", "new")
}

// TestOldSecrets has the old program verify. It does not decrypt: without the
// Blowfish of an old OpenSSL it crashes on its own images.
func TestOldSecrets(t *testing.T) {
	t.Parallel()
	o := newOldTools(t)
	o.write("disk", noiseDisk())
	for i, c := range []struct{ make, restore string }{
		{"-a SHA1", "-a @%d.ndz.skey"},
		{"-a SHA1 -u 00112233445566778899aabbccddeeff", "-a @%d.ndz.skey -u 00112233445566778899aabbccddeeff"},
		{"-u 00112233445566778899aabbccddeeff", ""},
	} {
		image := fmt.Sprintf("%d.ndz", i)
		o.ours(zip.Main, c.make+" -r @disk @"+image)
		if strings.Contains(c.restore, "%d") {
			c.restore = fmt.Sprintf(c.restore, i)
		}
		o.old("imageunzip", "-n "+c.restore+" @"+image+" @old")
		o.same(c.make, "old", "disk")
	}
}

// TestOldDeltas has the old program restore deltas, and what is made of them.
func TestOldDeltas(t *testing.T) {
	t.Parallel()
	o := newOldTools(t)
	disk := noiseDisk()
	o.write("disk", disk)
	for _, at := range []int{0, 100 << 10, 1 << 20, 4 << 20, 5<<20 + 3} {
		disk[at] ^= 0xff
	}
	o.write("next", disk)
	o.ours(zip.Main, "-r -U @a.ndz.sig @disk @a.ndz")
	o.ours(zip.Main, "-r -U @b.ndz.sig @next @b.ndz")
	o.ours(zip.Main, "-r -H @a.ndz.sig @next @h.ndz")
	o.ours(delta.Main, "-S -F @a.ndz @b.ndz @d.ndz")
	o.ours(delta.MainUndelta, "-S @a.ndz @d.ndz @n.ndz")
	o.ours(delta.MainRezip, "-S @b.ndz @r.ndz")
	o.ours(delta.Main, "-S @a.ndz @a.ndz @same.ndz")
	for _, image := range []string{"h.ndz", "d.ndz", "same.ndz"} {
		o.old("imagedump", "-dd @"+image)
	}
	for _, image := range []string{"n.ndz", "r.ndz"} {
		o.image(image, image)
	}
	for _, image := range []string{"n.ndz", "r.ndz", "b.ndz"} {
		o.old("imageunzip", "-n @"+image+" @old")
		o.same(image, "old", "next")
		o.old("imagehash", "-S -q -X @"+image)
	}
	for _, image := range []string{"h.ndz", "d.ndz"} {
		o.ours(unzip.Main, "@a.ndz @old")
		device, detach := tools.Loop(t, o.path("old"))
		o.old("imageunzip", "-n @"+image+" "+device)
		detach()
		o.same(image, "old", "next")
	}
	o.old("imagedelta", "-S -F @a.ndz @b.ndz @c.ndz")
	o.ours(delta.MainUndelta, "-S -f @a.ndz @c.ndz @cn.ndz")
	o.old("imageunzip", "-n @cn.ndz @old")
	o.same("delta of the old program", "old", "next")
}
