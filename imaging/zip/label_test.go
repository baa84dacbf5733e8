package zip_test

import (
	"encoding/binary"
	"testing"

	"hyzer/imaging/freemap"
	"hyzer/imaging/zip"
)

// TestLabelInSwap images a slice whose swap partition begins where the slice
// does: nothing of it is kept but boot blocks and the label.
func TestLabelInSwap(t *testing.T) {
	t.Parallel()
	const start, sectors, swap = 64, 8000, 1
	le, disk := binary.LittleEndian, make([]byte, 4<<20)
	copy(disk[446:], []byte{0, 0, 0, 0, 0xa5})
	le.PutUint32(disk[446+8:], start)
	le.PutUint32(disk[446+12:], sectors)
	le.PutUint16(disk[510:], 0xaa55)
	label := disk[(start+1)*512:]
	le.PutUint32(label, 0x82564557)
	le.PutUint32(label[132:], 0x82564557)
	le.PutUint16(label[138:], 2) // partitions, of which 'a' is none
	le.PutUint32(label[148+16:], sectors)
	label[148+16+12] = swap
	sum := uint16(0)
	for i := 0; i < 148+2*16; i += 2 {
		sum ^= le.Uint16(label[i:])
	}
	le.PutUint16(label[136:], sum)
	layout, err := zip.Analyze(source(disk), zip.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const boot = 16
	kept := freemap.Intersect(layout.Data, []freemap.Range{{Start: start, End: start + sectors}})
	if len(kept) != 1 || kept[0] != (freemap.Range{Start: start, End: start + boot}) {
		t.Errorf("of the slice %v is kept, want its first %d sectors", kept, boot)
	}
}
