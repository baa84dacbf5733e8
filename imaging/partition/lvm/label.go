package lvm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"hyzer/imaging/freemap"
)

// The label and the header that follows it in the same sector.
const (
	sectorBytes   = freemap.SectorBytes
	labelSectors  = 4 // where a label may be
	labelMagic    = "LABELONE"
	labelType     = "LVM2 001"
	offLabelPlace = 8
	offLabelCRC   = 16
	offLabelBody  = 20 // the checksum is of what is from here on
	offHeader     = 20 // holds where the header is
	offLabelType  = 24

	uuidBytes     = 32
	offDeviceSize = 32 // in the header, after the UUID
	offAreas      = 40 // list of data areas, then of metadata areas
	areaBytes     = 16
	areasMax      = 8

	crcSeed = 0xf597a6cf
)

// Metadata areas: a header and a ring of text.
const (
	areaMagic     = " LVM2 x[5A%r0N*>"
	offAreaMagic  = 4
	offAreaFormat = 20
	offAreaStart  = 24
	offAreaSize   = 32
	offText       = 40 // where in the area, size, checksum, flags
	offTextBytes  = 48
	offTextCRC    = 56
	offTextFlags  = 60
	flagIgnored   = 1
	areaFormat    = 1
	textBytesMax  = 16 << 20
)

// area is a part of the disk, in bytes. A size of 0 is up to the end.
type area struct{ start, size uint64 }

// header is what a physical volume says about itself.
type header struct {
	uuid           string
	deviceBytes    uint64
	data, metadata []area
}

// Is tells whether there is the label of a physical volume in r.
func Is(r io.ReaderAt) bool {
	_, err := findLabel(r)
	return err == nil
}

// findLabel returns the sector of the label.
func findLabel(r io.ReaderAt) ([]byte, error) {
	b := make([]byte, sectorBytes)
	for i := range uint64(labelSectors) {
		if err := freemap.ReadFull(r, b, int64(i*sectorBytes)); err != nil {
			return nil, err
		}
		if string(b[:len(labelMagic)]) == labelMagic && string(b[offLabelType:][:len(labelType)]) == labelType &&
			binary.LittleEndian.Uint64(b[offLabelPlace:]) == i {
			return b, nil
		}
	}
	return nil, errors.New("no label")
}

func readHeader(r io.ReaderAt) (*header, error) {
	b, err := findLabel(r)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	at := uint64(le.Uint32(b[offHeader:]))
	if le.Uint32(b[offLabelCRC:]) != checksum(b[offLabelBody:]) || at > sectorBytes-offAreas {
		return nil, errors.New("label is damaged")
	}
	b = b[at:]
	h := &header{uuid: string(b[:uuidBytes]), deviceBytes: le.Uint64(b[offDeviceSize:])}
	b = b[offAreas:]
	for _, list := range []*[]area{&h.data, &h.metadata} {
		for {
			if len(b) < areaBytes || len(*list) > areasMax {
				return nil, errors.New("label has too many areas")
			}
			a := area{le.Uint64(b), le.Uint64(b[8:])}
			b = b[areaBytes:]
			if a.start == 0 {
				break
			}
			*list = append(*list, a)
		}
	}
	return h, nil
}

// checksum is the CRC of all parts: the usual one with another start and
// without the last inversion.
func checksum(p []byte) uint32 { return ^crc32.Update(^uint32(crcSeed), crc32.IEEETable, p) }

// readText returns the metadata in an area, or "" if it is not to be used.
func readText(r io.ReaderAt, a area, size int64) (string, error) {
	le := binary.LittleEndian
	b := make([]byte, sectorBytes)
	if err := freemap.ReadFull(r, b, int64(min(a.start, 1<<62))); err != nil {
		return "", err
	}
	start, ring := le.Uint64(b[offAreaStart:]), le.Uint64(b[offAreaSize:])
	at, n := le.Uint64(b[offText:]), le.Uint64(b[offTextBytes:])
	switch {
	case string(b[offAreaMagic:][:len(areaMagic)]) != areaMagic, le.Uint32(b) != checksum(b[offAreaMagic:]):
		return "", errors.New("header is damaged")
	case le.Uint32(b[offAreaFormat:]) != areaFormat:
		return "", fmt.Errorf("format %d", le.Uint32(b[offAreaFormat:]))
	case start != a.start || ring > uint64(size) || start > uint64(size)-ring || ring <= sectorBytes:
		return "", fmt.Errorf("area of %d bytes at byte %d", ring, start)
	case at == 0 || le.Uint32(b[offTextFlags:])&flagIgnored != 0:
		return "", nil
	case n > min(ring-sectorBytes, textBytesMax) || at < sectorBytes || at >= ring:
		return "", fmt.Errorf("text of %d bytes at byte %d of an area of %d", n, at, ring)
	}
	text := make([]byte, n)
	head := min(n, ring-at)
	if err := freemap.ReadFull(r, text[:head], int64(start+at)); err != nil {
		return "", err
	}
	if err := freemap.ReadFull(r, text[head:], int64(start+sectorBytes)); err != nil {
		return "", err
	}
	if checksum(text) != le.Uint32(b[offTextCRC:]) {
		return "", errors.New("checksum of the text does not match")
	}
	return strings.TrimRight(string(text), "\x00"), nil
}
