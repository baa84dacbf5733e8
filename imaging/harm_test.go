package imaging_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hyzer/bench/tools"
	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
	"hyzer/imaging/sig"
	"hyzer/imaging/unzip"
	"hyzer/imaging/zip"
)

// harmDisk is a disk of several chunks with free space, as its image's options
// want it.
func harmImage(t *testing.T, opts zip.Options) (image, disk []byte) {
	t.Helper()
	disk = make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{17}).Read(disk[:2200<<10])
	opts.Raw = true
	var out bytes.Buffer
	if _, err := zip.Create(context.Background(), zip.Source{ReaderAt: bytes.NewReader(disk), Bytes: int64(len(disk))}, &out, opts); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), disk
}

// memoryDisk is a disk of garbage to restore to.
type memoryDisk struct{ data []byte }

func (d *memoryDisk) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > int64(len(d.data)) {
		return 0, io.ErrShortWrite
	}
	return copy(d.data[off:], p), nil
}
func (d *memoryDisk) Zero(off, size int64) error { clear(d.data[off:][:size]); return nil }
func (d *memoryDisk) SizeBytes() int64           { return int64(len(d.data)) }
func (d *memoryDisk) Finish(int64) error         { return nil }

// protections are ways to make an image in which no damage goes unseen.
func protections(t *testing.T) map[string]func() (image, disk []byte, opts unzip.Options) {
	t.Helper()
	with := func(m *manifest.Manifest, opts unzip.Options) unzip.Options { opts.Manifest = m; return opts }
	return map[string]func() ([]byte, []byte, unzip.Options){
		"V3 with manifest": func() ([]byte, []byte, unzip.Options) {
			m := &manifest.Manifest{}
			image, disk := harmImage(t, zip.Options{Manifest: m})
			return image, disk, with(m, unzip.Options{})
		},
		"V4 with checksums": func() ([]byte, []byte, unzip.Options) {
			image, disk := harmImage(t, zip.Options{Checksum: true})
			return image, disk, unzip.Options{Decode: ndz.DecodeOptions{Checksum: true}}
		},
		"V5": func() ([]byte, []byte, unzip.Options) {
			image, disk := harmImage(t, zip.Options{Version: ndz.V5})
			return image, disk, unzip.Options{}
		},
		"V5 with manifest": func() ([]byte, []byte, unzip.Options) {
			m := &manifest.Manifest{}
			image, disk := harmImage(t, zip.Options{Version: ndz.V5, Manifest: m})
			return image, disk, with(m, unzip.Options{})
		},
	}
}

// restores restores an image of which a part may be damaged. It must fail, or
// make the disk that was meant.
func restores(t *testing.T, what string, image, disk []byte, opts unzip.Options) (failed bool) {
	t.Helper()
	d := &memoryDisk{bytes.Repeat([]byte{0xa5}, len(disk))}
	opts.ZeroFill = true
	_, err := unzip.File(context.Background(), bytes.NewReader(image), int64(len(image)), d, opts)
	if err == nil && !bytes.Equal(d.data, disk) {
		t.Errorf("%s: no error, and another disk", what)
	}
	return err != nil
}

// TestBitFlips flips single bits all over an image.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	for name, make := range protections(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			image, disk, opts := make()
			if restores(t, name, image, disk, opts) {
				t.Fatal("the sound image is refused")
			}
			r := rand.New(rand.NewPCG(1, uint64(len(name))))
			failed := 0
			for i := range 40 {
				at := r.IntN(len(image))
				if i%2 == 0 { // in a head
					at = at/ndz.ChunkBytes*ndz.ChunkBytes + r.IntN(400)
				}
				bit := byte(1) << r.IntN(8)
				image[at] ^= bit
				if restores(t, fmt.Sprintf("bit %#x of byte %d", bit, at), image, disk, opts) {
					failed++
				}
				image[at] ^= bit
			}
			if failed < 20 {
				t.Errorf("%d of 40 damaged images are refused", failed)
			}
		})
	}
}

// TestPayloadFlips flips bits of the data of images without any protection but
// that of their streams.
func TestPayloadFlips(t *testing.T) {
	t.Parallel()
	for _, v := range []ndz.Version{ndz.V1, ndz.V2, ndz.V3} {
		image, disk := harmImage(t, zip.Options{Version: v})
		r := rand.New(rand.NewPCG(2, 3))
		for range 20 {
			at := ndz.HeaderAreaBytes + r.IntN(1000<<10)
			image[at] ^= 8
			if !restores(t, fmt.Sprintf("%s, byte %d", v, at), image, disk, unzip.Options{}) {
				t.Errorf("%s: damage at byte %d is not seen", v, at)
			}
			image[at] ^= 8
		}
	}
}

// TestCut cuts images off at every kind of place, also between chunks where
// something tells how many there are.
func TestCut(t *testing.T) {
	t.Parallel()
	for name, make := range protections(t) {
		image, disk, opts := make()
		for _, n := range []int{0, 1, 100, 4095, 4096, 5000, ndz.ChunkBytes - 1, ndz.ChunkBytes, ndz.ChunkBytes + 1, len(image) - ndz.ChunkBytes, len(image) - 1} {
			if n%ndz.ChunkBytes == 0 && n > 0 && !strings.Contains(name, "manifest") {
				continue // V3 to V5 have no count of chunks of their own
			}
			if !restores(t, name, image[:n], disk, opts) {
				t.Errorf("%s: %d of %d bytes are restored", name, n, len(image))
			}
		}
	}
	image, disk := harmImage(t, zip.Options{Version: ndz.V1})
	for i := range len(image) / ndz.ChunkBytes {
		binary.LittleEndian.PutUint32(image[i*ndz.ChunkBytes+12:], uint32(len(image)/ndz.ChunkBytes))
	}
	if !restores(t, "V1", image[:len(image)-ndz.ChunkBytes], disk, unzip.Options{}) {
		t.Error("V1: a chunk is missing")
	}
}

// TestShuffled has chunks in another order, twice, or missing in the middle.
func TestShuffled(t *testing.T) {
	t.Parallel()
	for _, v := range []ndz.Version{ndz.V2, ndz.V3, ndz.V4, ndz.V5} {
		image, disk := harmImage(t, zip.Options{Version: v})
		if len(image) < 3*ndz.ChunkBytes {
			t.Fatalf("%d bytes of image", len(image))
		}
		chunk := func(i int) []byte { return image[i*ndz.ChunkBytes:][:ndz.ChunkBytes] }
		for _, order := range [][]int{{1, 0, 2}, {0, 2, 1}, {0, 0, 1, 2}, {0, 1, 1, 2}, {0, 2}, {1, 2}} {
			var other []byte
			for _, i := range order {
				other = append(other, chunk(i)...)
			}
			if !restores(t, fmt.Sprint(v, order), other, disk, unzip.Options{}) && len(order) != 3 {
				t.Errorf("%s: chunks %v are restored", v, order)
			}
		}
		mixed, _ := harmImage(t, zip.Options{Version: max(ndz.V3, 7-v)})
		if !restores(t, "mixed", append(bytes.Clone(chunk(0)), mixed[ndz.ChunkBytes:]...), disk, unzip.Options{}) && v != ndz.V4 {
			t.Errorf("chunks of %s and another version are restored", v)
		}
	}
}

// TestSourceShrinks has a file get shorter while it is imaged.
func TestSourceShrinks(t *testing.T) {
	t.Parallel()
	for _, v := range []ndz.Version{ndz.V3, ndz.V5} {
		dir := t.TempDir()
		path := filepath.Join(dir, "disk")
		disk := make([]byte, 48<<20)
		rand.NewChaCha8([32]byte{5}).Read(disk)
		if err := os.WriteFile(path, disk, 0o600); err != nil {
			t.Fatal(err)
		}
		src, closer, err := zip.OpenSource(path)
		if err != nil {
			t.Fatal(err)
		}
		defer closer.Close()
		opts := zip.Options{Raw: true, Version: v, Workers: 1, Progress: func(s zip.Stats) {
			if s.Chunks == 1 {
				err = os.Truncate(path, 40<<20)
			}
		}}
		if _, made := zip.CreateFile(context.Background(), src, filepath.Join(dir, "image"), "", opts); made == nil || err != nil {
			t.Errorf("%s: %v, %v", v, made, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "image")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: there is an image: %v", v, err)
		}
	}
}

// TestNoRoom restores and images to where there is no room.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	image, disk := harmImage(t, zip.Options{})
	for name, data := range map[string][]byte{"image": image, "disk": disk} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	check := func(what string, main func([]string, io.Reader, io.Writer, io.Writer) int, args ...string) {
		t.Helper()
		var stderr bytes.Buffer
		if code := main(args, nil, full, &stderr); code != 1 || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%s: exit %d, %s", what, code, stderr.String())
		}
	}
	check("restore to a full pipe", unzip.Main, filepath.Join(dir, "image"), "-")
	for _, format := range []string{"-3", "--v5"} {
		check("image to a full pipe", zip.Main, format, "-r", filepath.Join(dir, "disk"), "-")
	}
	small := t.TempDir()
	tools.Tmpfs(t, small, "size=1m")
	check("restore to a full disk", unzip.Main, filepath.Join(dir, "image"), filepath.Join(small, "out"))
	if err := os.Remove(filepath.Join(small, "out")); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{"-3"}, {"--v5"}, {"-3", "-U", ""}, {"--v5", "--manifest"}} {
		check("image to a full disk", zip.Main, append(args, "-r", filepath.Join(dir, "disk"), filepath.Join(small, "x.ndz"))...)
		left, err := os.ReadDir(small)
		if err != nil || len(left) > 0 {
			t.Errorf("%v: left %v behind, %v", args, left, err)
		}
	}
}

// TestInUse restores to a device that is mounted, and images it.
func TestInUse(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	dir, root := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "disk")
	image, _ := harmImage(t, zip.Options{})
	if err := errors.Join(os.WriteFile(path, make([]byte, 8<<20), 0o600), os.WriteFile(filepath.Join(dir, "image"), image, 0o600)); err != nil {
		t.Fatal(err)
	}
	tools.Run(t, tools.Find(t, "mke2fs", "e2fsprogs"), "-q", "-F", "-t", "ext2", path)
	device, _ := tools.Loop(t, path)
	if out, err := tools.Try(tools.Find(t, "mount", "mount"), device, root); err != nil {
		t.Skipf("this kernel does not mount it: %s", out)
	}
	var out bytes.Buffer
	code := unzip.Main([]string{filepath.Join(dir, "image"), device}, nil, io.Discard, &out)
	if code != 1 || !strings.Contains(out.String(), "is in use") {
		t.Errorf("restore: exit %d, %s", code, out.String())
	}
	out.Reset()
	code = zip.Main([]string{device, filepath.Join(dir, "x.ndz")}, nil, io.Discard, &out)
	if code != 0 || !strings.Contains(out.String(), "is in use") {
		t.Errorf("image: exit %d, %s", code, out.String())
	}
	tools.Run(t, tools.Find(t, "umount", "mount"), root)
	tools.Run(t, tools.Find(t, "e2fsck", "e2fsprogs"), "-f", "-n", path)
	out.Reset()
	if code := unzip.Main([]string{filepath.Join(dir, "image"), device}, nil, io.Discard, &out); code != 0 {
		t.Errorf("restore afterwards: exit %d, %s", code, out.String())
	}
}

// Two blocks with the same MD5 (Wang and others, 2004).
const (
	collidesA = "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b" +
		"d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
	collidesB = "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a085125e8f7cdc99fd91dbd7280373c5b" +
		"d8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70"
)

// TestCollision makes a delta of disks that MD5 does not tell apart: there is a
// warning, and SHA-1 does.
func TestCollision(t *testing.T) {
	t.Parallel()
	for kind, want := range map[sig.HashType]string{sig.MD5: "warned, 1 sectors", sig.SHA1: "128 sectors"} {
		var disks [2][]byte
		for i, text := range []string{collidesA, collidesB} {
			block, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			disks[i] = append(block, make([]byte, 64<<10-len(block))...)
		}
		src := func(i int) zip.Source {
			return zip.Source{ReaderAt: bytes.NewReader(disks[i]), Bytes: int64(len(disks[i]))}
		}
		base := &sig.File{Type: kind, BlockSectors: sig.BlockSectorsDefault}
		if _, err := zip.Create(context.Background(), src(0), io.Discard, zip.Options{Raw: true, Signature: base}); err != nil {
			t.Fatal(err)
		}
		got := ""
		stats, err := zip.Create(context.Background(), src(1), io.Discard, zip.Options{Raw: true, Base: base, Warn: func(text string) {
			if strings.Contains(text, "MD5") {
				got = "warned, "
			}
		}})
		if got += fmt.Sprintf("%d sectors", stats.DataBytes/512); err != nil || got != want {
			t.Errorf("%s: %s, want %s; %v", kind, got, want, err)
		}
	}
}
