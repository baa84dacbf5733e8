package ufs_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/freemap"
	"hyzer/imaging/freemap/ufs"
)

// TestGroupDamaged damages the maps of free fragments: what they call free is
// not what their groups count.
func TestGroupDamaged(t *testing.T) {
	t.Parallel()
	const magic, offMagic, offFree, groupBytes = 0x090255, 4, 96, 2048
	for _, name := range []string{"ufs1", "ufs2"} {
		golden := shared.ReadGzip(t, "vectors/ndz/"+name+".img.gz")
		whole, err := ufs.Free(bytes.NewReader(golden), int64(len(golden)))
		if err != nil || len(whole.Warnings) > 0 || len(whole.Free) == 0 {
			t.Fatalf("%s: %+v, %v", name, whole, err)
		}
		groups := 0
		for at := 0; at+groupBytes <= len(golden); at += 512 {
			if binary.LittleEndian.Uint32(golden[at+offMagic:]) != magic || binary.LittleEndian.Uint32(golden[at+12:]) != uint32(groups) {
				continue
			}
			groups++
			img := bytes.Clone(golden)
			free := at + int(binary.LittleEndian.Uint32(img[at+offFree:]))
			img[free] ^= 1
			m, err := ufs.Free(bytes.NewReader(img), int64(len(img)))
			if err != nil || len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], "all of it is kept") {
				t.Errorf("%s, group at byte %d: %v, %v", name, at, m.Warnings, err)
			}
			if lost := freemap.Subtract(m.Free, whole.Free); len(lost) > 0 {
				t.Errorf("%s, group at byte %d: %v are free", name, at, lost)
			}
		}
		if groups == 0 {
			t.Errorf("%s: no group was found", name)
		}
	}
}
