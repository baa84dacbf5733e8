package fuzz

import (
	"io"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/freemap"
	"hyzer/imaging/freemap/ext"
	"hyzer/imaging/freemap/fat"
	"hyzer/imaging/freemap/ntfs"
	"hyzer/imaging/freemap/swap"
	"hyzer/imaging/freemap/ufs"
)

// volume is a file system whose end is zeros.
type volume struct {
	head []byte
	size int64
}

func (v volume) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= v.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), v.size-off))
	clear(p[:n])
	if off < int64(len(v.head)) {
		copy(p[:n], v.head[off:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// FuzzFreeMap gives the heads of file systems to every reader: free space must
// be in order and inside, whatever they claim.
func FuzzFreeMap(f *testing.F) {
	const volumeBytes, headBytes = 48 << 20, 80 << 10
	for _, name := range []string{"ext2-1k", "ext4-64bit", "ext4-bigalloc", "fat12", "fat32", "ntfs", "ufs1", "ufs2", "swap"} {
		f.Add(ndzGunzip(f, shared.ReadFile(f, "vectors/ndz/"+name+".img.gz"))[:headBytes])
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		v := volume{head, volumeBytes}
		for _, free := range []func(io.ReaderAt, int64) (*freemap.Map, error){
			ext.Free, fat.Free, ntfs.Free, ufs.Free, swap.Free,
		} {
			m, err := free(v, volumeBytes)
			if err != nil {
				continue
			}
			checkFree(t, m, volumeBytes/freemap.SectorBytes)
		}
	})
}

func checkFree(t *testing.T, m *freemap.Map, sectors uint64) {
	t.Helper()
	end := uint64(0)
	for i, r := range m.Free {
		if r.Start >= r.End || r.End > sectors || i > 0 && r.Start <= end {
			t.Fatalf("%s: range %d [%d,%d) after %d, of %d sectors", m.Type, i, r.Start, r.End, end, sectors)
		}
		end = r.End
	}
	if m.Sectors > sectors {
		t.Fatalf("%s: %d sectors in a volume of %d", m.Type, m.Sectors, sectors)
	}
}
