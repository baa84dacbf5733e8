package gpt

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"

	"hyzer/imaging/partition"
)

// ErrNoType is returned for a type of an MBR that GPTs have none for.
var ErrNoType = errors.New("no GPT type stands for it")

// types are the types that stand for those of an MBR.
func types() map[byte]string {
	const basicData = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"
	return map[byte]string{
		0x01: basicData, 0x04: basicData, 0x06: basicData, 0x07: basicData, 0x0b: basicData, 0x0c: basicData, 0x0e: basicData,
		0x27: "de94bba4-06d1-4d40-a16a-bfd50179d6ac", // Windows recovery
		0x82: "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", // Linux swap
		0x83: "0fc63daf-8483-4772-8e79-3d69d8477de4", // Linux data
		0x8e: "e6d6d379-f507-44c2-a23c-238f2a3df928", // Linux LVM
		0xa5: "516e7cb4-6ecf-11d6-8ff8-00022d09712b", // FreeBSD disklabel
		0xa6: "824cc7a0-36a8-11e3-890a-952519ad3f61", // OpenBSD data
		0xaf: "48465300-0000-11aa-aa11-00306543ecac", // Apple HFS
		0xef: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", // EFI system
		0xfd: "a19d880f-05fc-4d3b-a006-743f0f84911e", // Linux RAID
	}
}

// SetType returns what gives partition n the type that kind stands for in an
// MBR, in both copies of the table. A copy that is damaged stays so: the other
// one is what everybody reads. Sound copies must agree about the partition.
func SetType(d partition.Disk, n int, kind byte) ([]partition.Patch, error) {
	text, ok := types()[kind]
	if !ok {
		return nil, fmt.Errorf("type %#02x: %w", kind, ErrNoType)
	}
	id, err := parseGUID(text)
	if err != nil {
		return nil, err
	}
	primary, primaryErr := openCopy(d, 1)
	backupLBA := d.Units() - 1
	if primaryErr == nil && primary.h.altLBA > 1 && primary.h.altLBA < d.Units() {
		backupLBA = primary.h.altLBA
	}
	backup, backupErr := openCopy(d, backupLBA)
	if primaryErr != nil && backupErr != nil {
		return nil, primaryErr
	}
	if primaryErr == nil && backupErr == nil && !bytes.Equal(primary.entry(n), backup.entry(n)) {
		return nil, fmt.Errorf("the two copies of the GPT do not agree about partition %d: repair it", n)
	}
	var patches []partition.Patch
	for _, c := range []*tableCopy{backup, primary} { // whichever is whole is read if only one is written
		if c == nil {
			continue
		}
		more, err := c.setType(d, n, id)
		if err != nil {
			return nil, err
		}
		patches = append(patches, more...)
	}
	return patches, nil
}

// tableCopy is one of the two copies.
type tableCopy struct {
	lba   uint64
	h     *header
	table []byte
}

// openCopy returns a nil copy with an error.
func openCopy(d partition.Disk, lba uint64) (*tableCopy, error) {
	h, table, err := readCopy(d, lba)
	if err != nil {
		return nil, err
	}
	return &tableCopy{lba, h, table}, nil
}

// entry is nil if the table has none of that number.
func (c *tableCopy) entry(n int) []byte {
	if n < 1 || n > int(c.h.entries) {
		return nil
	}
	return c.table[(n-1)*int(c.h.entryBytes):][:c.h.entryBytes]
}

// setType returns the entry with another type, and the header with the sums that
// the table and it have then.
func (c *tableCopy) setType(d partition.Disk, n int, id [guidBytes]byte) ([]partition.Patch, error) {
	e := c.entry(n)
	if e == nil || guid(e[:guidBytes]) == guid(make([]byte, guidBytes)) {
		return nil, fmt.Errorf("GPT has no partition %d", n)
	}
	copy(e, id[:])
	b := make([]byte, partition.SectorBytes)
	if err := d.ReadUnits(b, c.lba); err != nil {
		return nil, fmt.Errorf("GPT header at sector %d: %w", c.lba, err)
	}
	le, size := binary.LittleEndian, int64(d.Per())*partition.SectorBytes
	le.PutUint32(b[offTableCRC:], crc32.ChecksumIEEE(c.table))
	le.PutUint32(b[offHeaderCRC:], 0)
	le.PutUint32(b[offHeaderCRC:], crc32.ChecksumIEEE(b[:le.Uint32(b[offHeaderBytes:])]))
	return []partition.Patch{
		{Offset: int64(c.h.tableLBA)*size + int64((n-1)*int(c.h.entryBytes)), Data: e[:guidBytes]},
		{Offset: int64(c.lba) * size, Data: b},
	}, nil
}

// parseGUID is the reverse of guid.
func parseGUID(text string) (id [guidBytes]byte, err error) {
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != guidBytes {
		return id, fmt.Errorf("%q is not a GUID", text)
	}
	le, be := binary.LittleEndian, binary.BigEndian
	le.PutUint32(id[:], be.Uint32(b))
	le.PutUint16(id[4:], be.Uint16(b[4:]))
	le.PutUint16(id[6:], be.Uint16(b[6:]))
	copy(id[8:], b[8:])
	return id, nil
}
