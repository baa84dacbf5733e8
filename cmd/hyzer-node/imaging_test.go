package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hyzer/bench/shared"
)

// TestMain is every program that the test is linked to.
func TestMain(m *testing.M) {
	if programs()[filepath.Base(os.Args[0])] != nil {
		main()
	}
	os.Exit(m.Run())
}

// imagingCase is one call of an old imaging program (spec ndz, section 6).
type imagingCase struct {
	name, args string // @x is a file of the test
	code       int
	text       string // in what it prints
}

func imagezipCases() []imagingCase {
	return []imagingCase{
		{"imagezip", "-h", 1, "usage: imagezip"},
		{"imagezip", "-v", 0, "imagezip: "},
		{"imagezip", "", 1, "usage: imagezip"},
		{"imagezip", "-q @mbr @o", 1, "invalid option -- 'q'"},
		{"imagezip", "@mbr @mbr.ndz", 0, "Finished in "},
		{"imagezip", "-s 1 @mbr @o", 0, "MB/second compressed\n"},
		{"imagezip", "-s 129 @mbr @o", 1, "1 to 128"},
		{"imagezip", "-S 131 @ext @o", 0, "Image size: 1048576 bytes\n"},
		{"imagezip", "-Y -l @ext @ext.ndz", 0, " compressed) bytes in "},
		{"imagezip", "-n @ext @o", 1, "no ntfs file system"},
		{"imagezip", "-b @ext @o", 1, "no ufs file system"},
		{"imagezip", "-r @ext @o", 0, "20971520 input (20971520 compressed)"},
		{"imagezip", "-f @odd @odd.ndz", 0, "Finished"},
		{"imagezip", "-r - @o", 0, "512 input"},
		{"imagezip", "-z 9 @mbr @o", 0, "Finished"},
		{"imagezip", "-z 10 @mbr @o", 1, "0 to 9"},
		{"imagezip", "-I 1 -I 2 -R 3 @mbr @o", 0, "Finished"},
		{"imagezip", "-I 1b -R1a @bsd @o", 0, "16809472 input"},
		{"imagezip", "-I 1a @bsd @o", 0, "40448 input"}, // boot blocks and label stay
		{"imagezip", "-I 1q @bsd @o", 1, "a letter from a to p"},
		{"imagezip", "-I ab @bsd @o", 1, "a letter from a to p"},
		{"imagezip", "-c 100 -r @mbr @o", 0, "51200 input"},
		{"imagezip", "-c 100 -s 1 @mbr @o", 1, "-c is not for a partition"},
		{"imagezip", "-F 1 -Z -x -M @mbr @o", 0, "Finished"},
		{"imagezip", "-U @o.sig @mbr @o", 0, "HASH STATS"},
		{"imagezip", "-H @mbr.sig -P 50 @mbr @d.ndz", 0, "Auto image selection creating delta image.\n"},
		{"imagezip", "-P 10 @mbr @o", 0, "Finished"},
		{"imagezip", "-a SHA1 -e bf_cbc -k @key -u 00112233445566778899aabbccddeeff @mbr @v4.ndz", 0, "Signing pubkey written to @v4.ndz.skey"},
		{"imagezip", "-a MD5 @mbr @o", 1, "want SHA1"},
		{"imagezip", "-e aes @mbr @o", 1, "want bf_cbc"},
		{"imagezip", "-1 -D -N @mbr @v1.ndz", 0, "Finished"},
		{"imagezip", "-3 -L -X -d -d @mbr @o", 0, "Finished"},
		{"imagezip", "-o @mbr @o", 0, "."},
		{"imagezip", "-i @mbr", 0, "P1: "},
	}
}

func imageunzipCases() []imagingCase {
	return []imagingCase{
		{"imageunzip", "-h", 1, "usage: imageunzip"},
		{"imageunzip", "-v", 0, "imageunzip: "},
		{"imageunzip", "", 1, "usage: imageunzip"},
		{"imageunzip", "-E @ext.ndz @out", 1, "usage: imageunzip"},
		{"imageunzip", "@ext.ndz @out", 0, "Decompressed "},
		{"imageunzip", "@ext.ndz -", 0, "forcing zero-fill"},
		{"imageunzip", "@ext.ndz", 0, "forcing zero-fill"},
		{"imageunzip", "-s 1 @ext.ndz @mbrdisk", 0, "Decompressed"},
		{"imageunzip", "-s 1 -D 131 @ext.ndz @mbrdisk", 0, "Decompressed"},
		{"imageunzip", "-D 131 @ext.ndz @out", 1, "-D needs -s"},
		{"imageunzip", "-s 9 @ext.ndz @mbrdisk", 1, "no partition 9"},
		{"imageunzip", "-z @ext.ndz @out", 0, "bytes of data in "},
		{"imageunzip", "-p 0xdeadbeef @ext.ndz @out", 0, "bytes of data in "},
		{"imageunzip", "-o -n -W 16 -f -r 3 -d @ext.ndz @out", 0, ".\nDecompressed"},
		{"imageunzip", "-O @ext.ndz @out", 0, "Decompressed"},
		{"imageunzip", "-a @v4.ndz.skey -k @key -u 00112233445566778899aabbccddeeff @v4.ndz @out", 0, "Decompressed"},
		{"imageunzip", "-c @ext.ndz @out", 1, "checksum"},
		{"imageunzip", "-k @key @ext.ndz @out", 1, "not encrypted"},
		{"imageunzip", "@v4.ndz @out", 1, "payload is encrypted"},
		{"imageunzip", "-C @ext.ndz", 0, "CRC="},
		{"imageunzip", "-N @ext.ndz @out", 0, "Decompressed 1048576 bytes"},
		{"imageunzip", "-I @ext.ndz -", 0, "Decompressed"},
		{"imageunzip", "-I @ext.ndz @out", 1, "Must output to stdout with -I"},
		{"imageunzip", "-M 1000 @ext.ndz @out", 0, "cut off"},
		{"imageunzip", "-F @ext.ndz @out", 0, "Decompressed"},
		{"imageunzip", "@none @out", 1, "no such file"},
	}
}

func imagehashCases() []imagingCase {
	return []imagingCase{
		{"imagehash", "-h", 1, "usage: imagehash"},
		{"imagehash", "-v", 0, "imagehash: "},
		{"imagehash", "", 1, "usage: imagehash"},
		{"imagehash", "-c @ext.ndz", 0, "hashregions"},
		{"imagehash", "-c -X -D md5 -b 4096 -o @m.sig -n -q @ext.ndz", 0, ""},
		{"imagehash", "-S @ext.ndz", 0, ""},
		{"imagehash", "-S -o @m.sig @ext.ndz", 0, ""},
		{"imagehash", "@ext.ndz @ext", 0, "0 of 28 hashes bad"},
		{"imagehash", "-d -T @ext.ndz @bad", 1, "sectors ["},
		{"imagehash", "@ext.ndz @odd", 3, "reading sectors"},
		{"imagehash", "@odd @ext", 2, ""},
		{"imagehash", "-D raw @ext.ndz @ext", 0, "0 of 28 blocks differ"},
		{"imagehash", "-R -q @ext.ndz", 0, "\t0\t128\n"},
		{"imagehash", "-RR -C -q @ext.ndz", 0, "\t0\t128\t0\tU\t@ext.ndz\n"},
		{"imagehash", "-RR -F name -q @ext.ndz", 0, "\t0\t128\t0\tU\tname\n"},
		{"imagehash", "-R -o @m.sig", 0, "sig version 2, blksize=8 sectors:\n[0-7] (8): chunk 0, hash "},
		{"imagehash", "-R -o @none", 2, "no such file"},
		{"imagehash", "-R -q -N @lilo.ndz", 0, "\t128\t128\n"},
		{"imagehash", "-r -c @odd", 0, "hashregions"},
		{"imagehash", "-b 3 -c @ext.ndz", 1, "block of"},
		{"imagedump", "-h", 1, "usage: imagedump"},
		{"imagedump", "-v", 0, "imagedump: "},
		{"imagedump", "", 1, "usage: imagedump"},
		{"imagedump", "@ext.ndz", 0, "covered sector range: [0-40959]"},
		{"imagedump", "-d -d -m -i @lilo.ndz", 0, "17 relocations covering 2110 bytes"},
		{"imagedump", "@ext.ndz", 0, "x compression of allocated data ("},
		{"imagedump", "-q @ext.ndz", 0, ""},
		{"imagedump", "-q @odd", 1, ""},
		{"imagedump", "-c @ext.ndz @odd @none", 2, "no such file"},
		{"imagedump", "-c @v4.ndz", 0, ""},
	}
}

func imagedeltaCases() []imagingCase {
	return []imagingCase{
		{"imagedelta", "-h", 1, "usage: imagedelta"},
		{"imagedelta", "@a @b", 1, "usage: imagedelta"},
		{"imagedelta", "-S -V -f -d @a @b @d", 0, "@d: 1344 sectors, 7.5% of full image (17992 sectors)\n"},
		{"imagedelta", "-S -F @a @b @d", 0, "of full image"},
		{"imagedelta", "-D md5 -b 4096 -z 1 @a @b @d2", 0, "of full image"},
		{"imagedelta", "-D sha3 @a @b @d2", 1, "unknown hash"},
		{"imagedelta", "-b 100 @a @b @d2", 1, "block of"},
		{"imagedelta", "-z 10 @a @b @d2", 1, "0 to 9"},
		{"imagedelta", "-S @a @a @same", 0, "images are identical"},
		{"imagedelta", "@a @none @d2", 1, "no such file"},
		{"imageundelta", "-h", 1, "usage: imageundelta"},
		{"imageundelta", "@a @d", 1, "usage: imageundelta"},
		{"imageundelta", "@a @d @n", 0, ""},
		{"imageundelta", "-S -V -f -d @a @d @n", 0, ""},
		{"imageundelta", "-D md5 -b 4096 @a @d @n2", 0, ""},
		{"imagehash", "-R -o @n2.sig", 0, "sig version 2, blksize=8 sectors:\n"},
		{"imagehash", "-S @n2", 0, ""},
		{"imageundelta", "@b @d @n", 1, "another base"},
		{"imagerezip", "-h", 1, "usage: imagerezip"},
		{"imagerezip", "@a", 1, "usage: imagerezip"},
		{"imagerezip", "@none @r", 1, "no such file"},
		{"imagerezip", "@odd @r", 1, "ends inside a chunk"},
		{"imagerezip", "-z 9 @a @r", 0, ""},
		{"imagerezip", "-S -V -f -d @a @r2", 0, ""},
		{"imagehash", "-S @r2", 0, ""},
		{"imagehash", "@r2 @r.disk", 0, "0 of "},
		{"imagerezip", "@lilo.ndz @lilo2.ndz", 0, ""},
		{"imagedump", "@lilo2.ndz", 0, "17 relocations covering 2110 bytes"},
		{"imagerezip", "-S @d @d3", 0, ""}, // a delta stays one
		{"imageundelta", "-S @a @d3 @n3", 0, ""},
	}
}

// nodeFiles are the files of the cases.
func nodeFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	at := time.Now().Truncate(time.Second)
	for name, file := range map[string]string{
		"mbr": "mbr.img.gz", "ext": "ext2-1k.img.gz", "bad": "ext2-1k.img.gz", "odd": "file-odd.img.gz", "bsd": "bsd-mbr.img.gz", "mbrdisk": "mbr.img.gz", "lilo.ndz": "lilo-slice1.ndz.gz",
		"a": "ext4-4k.ndz.gz", "a.sig": "ext4-4k.sig.gz", "b": "ext4-4k.new.ndz.gz", "b.sig": "ext4-4k.new.sig.gz",
		"mbr.sig": "mbr.sig.gz", "r.disk": "ext4-4k.img.gz",
	} {
		data := shared.ReadGzip(t, "vectors/ndz/"+file)
		if name == "bad" {
			data[3000] ^= 1
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestImagingPrograms calls every old imaging program under its name with every
// option of its page.
func TestImagingPrograms(t *testing.T) {
	t.Parallel()
	for name, cases := range map[string][]imagingCase{
		"zip": append(imagezipCases(), imageunzipCases()...), "hash": append(imagezipCases()[4:9:9], imagehashCases()...), "delta": imagedeltaCases(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := nodeFiles(t)
			if name == "hash" {
				cases = append([]imagingCase{{"imagezip", "-a SHA1 @mbr @v4.ndz", 0, ""}}, cases...)
			}
			for _, c := range cases {
				var out bytes.Buffer
				args := strings.Fields(strings.ReplaceAll(c.args, "@", dir+"/"))
				code := run(append([]string{"/usr/local/bin/" + c.name}, args...), strings.NewReader("from a pipe\n"), &out, &out)
				text := strings.ReplaceAll(out.String(), dir+"/", "@")
				if code != c.code || !strings.Contains(text, c.text) {
					t.Errorf("%s %s: exit %d, want %d and %q:\n%.600s", c.name, c.args, code, c.code, c.text, text)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
				t.Errorf("left %v behind", left)
			}
		})
	}
}

// TestNames runs the binary itself under each old name.
func TestNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"imagezip", "imageunzip", "imagehash", "imagedump", "imagedelta", "imageundelta", "imagerezip"} {
		link := filepath.Join(dir, name)
		if err := os.Symlink(os.Args[0], link); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(link, "-h").CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("usage: "+name)) {
			t.Errorf("%s: %v, %s", name, err, out)
		}
	}
}
