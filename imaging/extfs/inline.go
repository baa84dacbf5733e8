package extfs

import (
	"encoding/binary"
)

// Extended attributes in an inode, of which one has the inline data that does
// not fit the block map.
const (
	attrMagic      = 0xea020000
	attrEntryBytes = 16
	attrSystem     = 7 // index of "system."
	attrData       = "data"
)

// inline returns the data that is in the inode itself.
func (i *Inode) inline() ([]byte, error) {
	data := append([]byte(nil), i.raw[offBlock:offBlock+blockMapBytes]...)
	more, err := i.systemData()
	if err != nil {
		return nil, err
	}
	data = append(data, more...)
	if int64(len(data)) < i.Size {
		return nil, damaged("inode %d: %d bytes inline, want %d", i.Number, len(data), i.Size)
	}
	return data[:i.Size], nil
}

// systemData is the attribute system.data, empty if there is none.
func (i *Inode) systemData() ([]byte, error) {
	le := binary.LittleEndian
	at := inodeOldBytes + i.extra()
	if at+4 > len(i.raw) || le.Uint32(i.raw[at:]) != attrMagic {
		return nil, nil
	}
	table := i.raw[at+4:]
	for b := table; len(b) >= attrEntryBytes && le.Uint32(b) != 0; {
		nameBytes, offset, size := int(b[0]), int(le.Uint16(b[2:])), uint64(le.Uint32(b[8:]))
		next := (attrEntryBytes + nameBytes + 3) &^ 3
		if next > len(b) {
			break
		}
		if b[1] == attrSystem && string(b[attrEntryBytes:attrEntryBytes+nameBytes]) == attrData {
			if size == 0 {
				return nil, nil
			}
			if uint64(offset)+size > uint64(len(table)) {
				return nil, damaged("inode %d: inline data beyond the inode", i.Number)
			}
			return table[offset:][:size], nil
		}
		b = b[next:]
	}
	return nil, nil
}
