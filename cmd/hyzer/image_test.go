package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/bench/shared"
	"hyzer/bench/tools"
	"hyzer/imaging/ndz"
)

// imageFolder is a folder of golden images and what was made of them by hand.
type imageFolder struct {
	t   *testing.T
	dir string
}

func newImageFolder(t *testing.T) imageFolder {
	t.Helper()
	f := imageFolder{t, t.TempDir()}
	now := time.Now().Truncate(time.Second)
	for name, vector := range map[string]string{
		"disk": "ext4-4k.img.gz", "a.ndz": "ext4-4k.ndz.gz", "a.ndz.sig": "ext4-4k.sig.gz", "b.ndz": "ext4-4k.new.ndz.gz", "b.ndz.sig": "ext4-4k.new.sig.gz",
		"mbr.ndz": "mbr.ndz.gz", "enc.ndz": "v4-enc.ndz.gz", "signed.ndz": "v4-signed.ndz.gz", "old-delta.ndz": "ext4-4k.idelta.ndz.gz",
	} {
		f.write(name, shared.ReadGzip(t, "vectors/ndz/"+vector))
		if err := os.Chtimes(f.path(name), now, now); err != nil {
			t.Fatal(err)
		}
	}
	f.write("v4.ekey", shared.ReadFile(t, "vectors/ndz/v4.ekey"))
	f.write("signed.ndz.skey", shared.ReadFile(t, "vectors/ndz/v4-signed.skey"))
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	f.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	f.write("key.pub", fmt.Appendf(nil, "%x\n", private.Public()))
	damaged := bytes.Clone(f.read("a.ndz"))
	damaged[5000] ^= 1
	f.write("damaged.ndz", damaged)
	f.write("short.ndz", damaged[:len(damaged)-100])
	f.write("wrong.ndz", f.read("a.ndz"))
	f.write("wrong.ndz.sig", f.read("b.ndz.sig"))
	return f
}

func (f imageFolder) path(name string) string { return filepath.Join(f.dir, name) }

func (f imageFolder) write(name string, data []byte) {
	f.t.Helper()
	if err := os.WriteFile(f.path(name), data, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f imageFolder) read(name string) []byte {
	f.t.Helper()
	b, err := os.ReadFile(f.path(name))
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// run runs `hyzer image` with @name for the files of the folder.
func (f imageFolder) run(args string) (status int, text string) {
	f.t.Helper()
	var out, errs bytes.Buffer
	status = run(f.t.Context(), append([]string{"image"}, words(strings.ReplaceAll(args, "@", f.dir+"/"))...), noEnv, nil, &out, &errs)
	return status, strings.ReplaceAll(out.String()+errs.String(), f.dir+"/", "@")
}

// TestImageFiles runs every verb on image files, well and badly.
func TestImageFiles(t *testing.T) {
	t.Parallel()
	f := newImageFolder(t)
	for _, c := range []struct {
		args   string
		status int
		text   string
	}{
		{"info @a.ndz", exitOK, "@a.ndz: version 3, 1 chunks"},
		{"info @a.ndz", exitOK, "ext4"},
		{"info @mbr.ndz --json", exitOK, `"file_system": "swap"`},
		{"info @enc.ndz", exitOK, "encrypted"},
		{"info @old-delta.ndz --json", exitOK, `"delta": false`},
		{"info @none.ndz", exitFailed, "no such file"},
		{"info @disk", exitFailed, "not a chunk of a disk image"},
		{"info", exitUsage, "usage: hyzer image info IMAGE"},

		{"verify @a.ndz", exitOK, "@a.ndz: sound: 1 chunks"},
		{"verify @a.ndz @b.ndz --json", exitOK, `"faults":[]`},
		{"verify @damaged.ndz", exitFailed, "chunk 0"},
		{"verify @short.ndz --json", exitFailed, "ends inside a chunk"},
		{"verify @wrong.ndz", exitFailed, "hashes are not of the image"},
		{"verify @enc.ndz", exitFailed, "give the key"},
		{"verify @enc.ndz --key @v4.ekey", exitOK, "sound"},
		{"verify @signed.ndz", exitOK, "checksums"},
		{"verify", exitUsage, "want images"},

		{"ls @a.ndz", exitOK, "d0\nd1\n"},
		{"ls -l @a.ndz / d0", exitOK, "drwx------"},
		{"ls -R --json @a.ndz", exitOK, `"path": "/lost+found"`},
		{"ls @mbr.ndz:1", exitOK, "lost+found"},
		{"ls @mbr.ndz:2", exitFailed, "no magic number"},
		{"ls @mbr.ndz:7", exitFailed, "no partition 7"},
		{"ls @a.ndz /none", exitFailed, "/none: file does not exist"},
		{"ls @none.ndz", exitFailed, "no such file"},
		{"ls @a.ndz,@old-delta.ndz d0", exitOK, ""},
		{"ls", exitUsage, "want an image"},
		{"cat @a.ndz /d0", exitFailed, "no regular file"},
		{"cat @a.ndz", exitUsage, "paths"},
		{"cat --json @a.ndz x", exitUsage, "--json"},

		{"diff @a.ndz @a.ndz", exitOK, ""},
		{"diff @a.ndz @b.ndz", exitDiffer, "changed sectors ["},
		{"diff @a.ndz,@old-delta.ndz @b.ndz --json", exitOK, `"same":true`},
		{"diff @a.ndz @b.ndz --json", exitDiffer, "\"kind\":\"changed\"}\n{\"event\":\"compared\",\"same\":false,"},
		{"diff --files @a.ndz @a.ndz", exitOK, ""},
		{"diff @a.ndz @damaged.ndz", exitFailed, "second image"},
		{"diff @a.ndz", exitUsage, "want two images"},

		{"make @disk @made.ndz", exitOK, "@made.ndz: 1 chunks"},
		{"diff @a.ndz @made.ndz", exitDiffer, "0 B new, 0 B freed"}, // old deleted data is not in ours
		{"verify @made.ndz", exitOK, "hashes of the signature"},
		{"make @disk @enc2.ndz --encrypt @v4.ekey --json", exitOK, `"version":4`},
		{"diff @a.ndz @enc2.ndz --key @v4.ekey", exitFailed, "not encrypted"},
		{"make @disk @x.ndz --level 11", exitUsage, "--level"},
		{"make @none @x.ndz", exitFailed, "no such file"},
		{"make @disk @hdelta.ndz --base @b.ndz.sig", exitOK, "@hdelta.ndz: 1 chunks"},
		{"info @hdelta.ndz", exitOK, "delta on state"},
		{"make @disk", exitUsage, "want a disk and an image"},

		{"delta @a.ndz @b.ndz @d.ndz", exitOK, "@d.ndz: 1 chunks"},
		{"delta @b.ndz @made.ndz @d2.ndz", exitOK, "@d2.ndz: 1 chunks"},
		{"delta @made.ndz @made.ndz @same.ndz --json", exitOK, `"same":true`},
		{"delta @a.ndz @damaged.ndz @x.ndz", exitFailed, "chunk 0"},
		{"delta @a.ndz @b.ndz", exitUsage, "want a base"},
		{"diff @a.ndz,@d.ndz @b.ndz", exitOK, ""},
		{"ls @d.ndz", exitFailed, "is a delta"},
		{"ls @a.ndz,@d2.ndz", exitFailed, "@d2.ndz on @a.ndz: delta was made for another base"},
		{"verify @a.ndz,@d.ndz,@d2.ndz", exitOK, "sound"},
		{"verify @d.ndz", exitOK, "more are of sectors that it does not hold"},

		{"rebase @a.ndz,@d.ndz,@d2.ndz @flat.ndz", exitOK, "@flat.ndz: "},
		{"diff @flat.ndz @made.ndz", exitOK, ""},
		{"rebase @a.ndz,@d.ndz,@d2.ndz @made.ndz @squash.ndz", exitOK, "identical"},
		{"rebase @a.ndz,@d.ndz @made.ndz @moved.ndz", exitOK, "@moved.ndz: "},
		{"verify @made.ndz,@moved.ndz", exitOK, "sound"},
		{"rebase @d.ndz @x.ndz", exitFailed, "is a delta"},
		{"rebase @a.ndz", exitUsage, "want"},

		{"restore @a.ndz @out", exitOK, "written"},
		{"restore @a.ndz @out --resume", exitOK, "0 B written"},
		{"restore @d.ndz @out", exitFailed, "--base FILE"},
		{"restore @d.ndz @out --base @b.ndz.sig", exitFailed, "another base"},
		{"restore @d.ndz @out --base @a.ndz.sig --zero", exitFailed, "would wipe its base"},
		{"restore @d.ndz @out --base @a.ndz.sig", exitOK, "written"},
		{"restore @d.ndz @out --base @a.ndz.sig", exitFailed, "differs from it"},
		{"restore @old-delta.ndz @out --base @a.ndz.sig", exitFailed, "blocks differ"},
		{"restore @a.ndz @out", exitOK, "written"},
		{"restore @old-delta.ndz @out --base @a.ndz.sig", exitOK, "0 B zeroed"},
		{"restore @old-delta.ndz @out --any-base", exitOK, "0 B zeroed"},
		{"restore @a.ndz,@d.ndz @out2 --resume", exitOK, "written"},
		{"restore @a.ndz,@d.ndz @out2 --resume", exitOK, "0 B written"},
		{"restore @a.ndz,@old-delta.ndz @out2 --resume", exitOK, "kept"}, // no signature tells of it
		{"restore @a.ndz,@old-delta.ndz @out2 --resume", exitOK, "0 B written"},
		{"diff @a.ndz,@old-delta.ndz @b.ndz", exitOK, ""},
		{"restore @damaged.ndz @out3", exitFailed, "chunk 0"},
		{"restore @short.ndz @out4", exitFailed, "ends inside a chunk"},
		{"restore @a.ndz", exitUsage, "want an image and a disk"},

		{"convert @made.ndz @a.raw", exitOK, "@a.raw: "},
		{"convert @a.raw @again.ndz --from raw", exitOK, "@again.ndz: "},
		{"diff @made.ndz @again.ndz", exitOK, ""},
		{"make @disk @five.ndz --v5", exitOK, "@five.ndz: "},
		{"info @five.ndz", exitOK, "version 5"},
		{"verify @five.ndz", exitOK, "manifest, "},
		{"diff @made.ndz @five.ndz", exitOK, ""},
		{"ls @five.ndz", exitOK, "d0\nd1\n"},
		{"convert @a.ndz @a5.ndz --v5 --json", exitOK, `"version":5`},
		{"diff @a.ndz @a5.ndz", exitOK, ""},
		{"convert @a5.ndz @a3.ndz", exitOK, "@a3.ndz: "},
		{"diff @a.ndz @a3.ndz", exitOK, ""},
		{"convert @d.ndz @d5.ndz --v5", exitOK, "@d5.ndz: "},
		{"verify @a.ndz,@d5.ndz", exitOK, "hashes"},
		{"diff @a5.ndz,@d5.ndz @b.ndz", exitOK, ""},
		{"delta @a5.ndz @b.ndz @d55.ndz --v5", exitOK, "@d55.ndz: "},
		{"diff @a.ndz,@d55.ndz @b.ndz", exitOK, ""},
		{"restore @a5.ndz,@d55.ndz @ab", exitOK, "written"},
		{"delta @five.ndz @five.ndz @same5.ndz --v5", exitOK, "identical"},
		{"restore @five.ndz,@same5.ndz @x5", exitOK, "written"},
		{"make @disk @4kn.ndz --v5 --sector-size 4096", exitOK, "@4kn.ndz: "},
		{"info @4kn.ndz --json", exitOK, `"sector_bytes": 4096`},
		{"diff @five.ndz @4kn.ndz", exitOK, ""},
		{"convert @4kn.ndz @4kn5.ndz --v5", exitOK, ""},
		{"info @4kn5.ndz --json", exitOK, `"sector_bytes": 4096`},
		{"make @disk @x.ndz --sector-size 3000", exitUsage, "power of two"},
		{"make @disk @x.ndz --v5 --encrypt @v4.ekey", exitUsage, "--encrypt"},
		{"make @disk @x.ndz --sign @none", exitFailed, "no such file"},
		{"make @disk @signed5.ndz --v5 --sign @key.pem", exitOK, "@signed5.ndz: "},
		{"info @signed5.ndz", exitOK, "signed with "},
		{"verify @signed5.ndz --public-key @key.pub", exitOK, "manifest signed with the key"},
		{"verify @five.ndz --public-key @key.pub", exitFailed, "not signed"},
		{"restore @signed5.ndz @outs --public-key @key.pub", exitOK, "written"},
		{"restore @five.ndz @outf --public-key @key.pub", exitFailed, "not signed"},
		{"restore @a.ndz @outf --public-key @key.pub", exitFailed, "a.ndz.manifest: no such file"},
		{"verify @a3.ndz --public-key @v4.ekey", exitFailed, ""},

		{"convert @a.ndz @a.thing", exitUsage, "--to"},
		{"convert @a.ndz @x --to floppy", exitUsage, "want ndz"},
		{"convert @disk @x.raw", exitUsage, "qemu-img does the rest"},
	} {
		if status, text := f.run(c.args); status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: exit status %d, want %d and %q:\n%.600s", c.args, status, c.status, c.text, text)
		}
	}
	for _, name := range []string{"out4", "outf"} {
		if _, err := os.Stat(f.path(name)); err == nil {
			t.Errorf("%s was made for an image that is cut short or not signed", name)
		}
	}
	if left, _ := filepath.Glob(f.path(".*")); len(left) > 0 {
		t.Errorf("left %v behind", left)
	}
}

// regular lists the regular files of an image.
func (f imageFolder) regular(image string) (found []fileFacts) {
	f.t.Helper()
	_, text := f.run("ls -R @" + image + " --json")
	var files []fileFacts
	if err := json.Unmarshal([]byte(text), &files); err != nil {
		f.t.Fatal(err)
	}
	for _, x := range files {
		if strings.HasPrefix(x.Mode, "-") {
			found = append(found, x)
		}
	}
	return found
}

// TestImageCat prints what debugfs prints.
func TestImageCat(t *testing.T) {
	t.Parallel()
	f := newImageFolder(t)
	debugfs, files := tools.Find(t, "debugfs", "e2fsprogs"), f.regular("a.ndz")
	for _, x := range files {
		out := f.path("dumped")
		tools.Run(t, debugfs, "-R", "dump "+x.Path+" "+out, f.path("disk"))
		if status, got := f.run("cat @a.ndz " + x.Path); status != exitOK || got != string(f.read("dumped")) {
			t.Errorf("%s: exit status %d, %d bytes unlike those of debugfs", x.Path, status, len(got))
		}
	}
	if len(files) < 10 {
		t.Errorf("compared %d files", len(files))
	}
}

// TestImageChanges removes a large file and adds one: the files that differ are
// found, and deltas there and back restore to the same disks, also where space
// was freed.
func TestImageChanges(t *testing.T) {
	t.Parallel()
	f := newImageFolder(t)
	debugfs, large := tools.Find(t, "debugfs", "e2fsprogs"), "/large"
	f.write("disk", nil)
	files := t.TempDir()
	for name, n := range map[string]int{large: 1 << 20, "small": 1 << 10} {
		if err := os.WriteFile(filepath.Join(files, name), bytes.Repeat([]byte(name), n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tools.Run(t, tools.Find(t, "mke2fs", "e2fsprogs"), "-q", "-t", "ext4", "-d", files, f.path("disk"), "32M")
	f.write("disk2", f.read("disk"))
	f.write("text", []byte("hello\n"))
	for _, command := range []string{"write " + f.path("text") + " added", "rm " + large} {
		tools.Run(t, debugfs, "-w", "-R", command, f.path("disk2"))
	}
	for _, c := range []struct {
		args   string
		status int
		text   string
	}{
		{"make @disk @a.ndz", exitOK, ""},
		{"make @disk2 @c.ndz", exitOK, ""},
		{"diff --files @a.ndz @c.ndz", exitDiffer, "new     added\ngone    " + strings.TrimPrefix(large, "/") + "\n"},
		{"diff @a.ndz @c.ndz", exitDiffer, "\nfreed   sectors ["},
		{"delta @a.ndz @c.ndz @d.ndz", exitOK, ""},
		{"delta @a.ndz,@d.ndz @a.ndz @back.ndz", exitOK, ""},
		{"restore @a.ndz @a", exitOK, ""},
		{"restore @c.ndz @c", exitOK, ""},
		{"restore @a.ndz,@d.ndz @ac", exitOK, ""},
		{"restore @a.ndz,@d.ndz,@back.ndz @aca", exitOK, ""},
		{"verify @a.ndz,@d.ndz,@back.ndz", exitOK, "sound"},
		{"rebase @a.ndz,@d.ndz @flat.ndz", exitOK, ""},
		{"diff @c.ndz @flat.ndz", exitOK, ""},
	} {
		if status, text := f.run(c.args); status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: exit status %d, want %d and %q:\n%.600s", c.args, status, c.status, c.text, text)
		}
	}
	for got, want := range map[string]string{"ac": "c", "aca": "a"} {
		if sha256.Sum256(f.read(got)) != sha256.Sum256(f.read(want)) {
			t.Errorf("the chain %s makes another disk than the image %s", got, want)
		}
	}
}

// TestImageManifest restores and verifies an image that is not as its manifest
// says where nothing else would tell, and chains of images over what is there.
func TestImageManifest(t *testing.T) {
	t.Parallel()
	f := newImageFolder(t)
	if status, text := f.run("make @disk @m.ndz --sign @key.pem"); status != exitOK {
		t.Fatal(text)
	}
	image := f.read("m.ndz")
	image[len(image)-1] ^= 1 // after the compressed data
	f.write("m.ndz", image)
	for _, args := range []string{"restore @m.ndz @out", "restore @m.ndz @out --public-key @key.pub", "verify @m.ndz", "verify @m.ndz --public-key @key.pub"} {
		if status, text := f.run(args); status != exitFailed || !strings.Contains(text, "the manifest says") {
			t.Errorf("%s: exit status %d: %s", args, status, text)
		}
	}
	if len(image) == ndz.ChunkBytes && len(bytes.Trim(f.read("out"), "\x00")) > 0 {
		t.Error("data of a chunk was written that is not as the manifest says")
	}
	image[len(image)-1] ^= 1
	f.write("m.ndz", image[:len(image)-100])
	if status, text := f.run("restore @m.ndz @out"); status != exitFailed {
		t.Errorf("a short image is restored: %s", text)
	}
}

// TestImageQemu goes to the formats of qemu-img and back.
func TestImageQemu(t *testing.T) {
	t.Parallel()
	tools.Find(t, "qemu-img", "qemu-utils")
	f := newImageFolder(t)
	f.run("make @disk @made.ndz")
	for _, format := range []string{"qcow2", "vmdk"} {
		for _, args := range []string{"convert @made.ndz @a." + format, "convert @a." + format + " @" + format + ".ndz", "diff @made.ndz @" + format + ".ndz"} {
			if status, text := f.run(args); status != exitOK {
				t.Errorf("%s: exit status %d: %s", args, status, text)
			}
		}
	}
	if left, _ := filepath.Glob(f.path(".*")); len(left) > 0 {
		t.Errorf("left %v behind", left)
	}
}

// TestMeter draws a bar and prints lines, with a clock of its own.
func TestMeter(t *testing.T) {
	t.Parallel()
	for _, isJSON := range []bool{false, true} {
		var out, errs bytes.Buffer
		e := &env{out: &out, errs: &errs, json: isJSON}
		m := e.meter("make")
		now := m.start
		m.now, m.every = func() time.Time { return now }, time.Second
		m.of(100 << 20)
		for range 5 {
			now = now.Add(600 * time.Millisecond)
			m.at(int64(now.Sub(m.start).Seconds() * 10 * (1 << 20)))
		}
		m.end()
		want := "\rmake [##......................]  12% of 100.0 MiB, 10.0 MiB/s, 9s left\rmake [#####...................]  24% of 100.0 MiB, 10.0 MiB/s, 8s left\r" +
			strings.Repeat(" ", 70) + "\r"
		wantOut := ""
		if isJSON {
			want = ""
			wantOut = `{"event":"progress","what":"make","done_bytes":12582912,"total_bytes":104857600,"bytes_per_second":10485760,"eta_seconds":9}` + "\n" +
				`{"event":"progress","what":"make","done_bytes":25165824,"total_bytes":104857600,"bytes_per_second":10485760,"eta_seconds":8}` + "\n"
		}
		if errs.String() != want || out.String() != wantOut {
			t.Errorf("json %v: got %q and %q", isJSON, errs.String(), out.String())
		}
	}
}
