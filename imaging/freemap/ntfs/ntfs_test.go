package ntfs_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/imaging/freemap/ntfs"
)

// place finds $Bitmap on the golden volume: the byte its record has its data
// attribute at, and the byte that the bitmap begins at.
func place(t *testing.T, img []byte) (attr, bitmap int) {
	t.Helper()
	le := binary.LittleEndian
	cluster := int(le.Uint16(img[11:])) * int(img[13])
	record := int(le.Uint64(img[48:]))*cluster + 6*1024
	for at := record + int(le.Uint16(img[record+20:])); le.Uint32(img[at:]) != 0xffffffff; at += int(le.Uint32(img[at+4:])) {
		if le.Uint32(img[at:]) != 0x80 {
			continue
		}
		run := img[at+int(le.Uint16(img[at+32:])):]
		first := 0
		for i := int(run[0] >> 4); i > 0; i-- {
			first = first<<8 | int(run[int(run[0]&15)+i])
		}
		return at, first * cluster
	}
	t.Fatal("no $Bitmap")
	return 0, 0
}

// TestBitmapDamaged damages $Bitmap, which has no checksum.
func TestBitmapDamaged(t *testing.T) {
	t.Parallel()
	golden := shared.ReadGzip(t, "vectors/ndz/ntfs.img.gz")
	m, err := ntfs.Free(bytes.NewReader(golden), int64(len(golden)))
	if err != nil || len(m.Free) == 0 || len(m.Warnings) > 0 {
		t.Fatalf("%+v, %v", m, err)
	}
	for name, damage := range map[string]func(img []byte, attr, bitmap int){
		"zeros":               func(img []byte, _, bitmap int) { clear(img[bitmap : bitmap+512]) },
		"boot sector is free": func(img []byte, _, bitmap int) { img[bitmap] &^= 1 },
		"short":               func(img []byte, attr, _ int) { binary.LittleEndian.PutUint64(img[attr+48:], 8) },
		"not initialized":     func(img []byte, attr, _ int) { binary.LittleEndian.PutUint64(img[attr+56:], 8) },
	} {
		img := bytes.Clone(golden)
		attr, bitmap := place(t, img)
		damage(img, attr, bitmap)
		m, err := ntfs.Free(bytes.NewReader(img), int64(len(img)))
		if err == nil {
			t.Errorf("%s: %d ranges are free", name, len(m.Free))
		} else if !strings.Contains(err.Error(), "$Bitmap") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
