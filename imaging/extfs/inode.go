package extfs

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"time"

	"hyzer/imaging/freemap"
	"hyzer/imaging/freemap/ext"
)

// Fields of an inode.
const (
	offMode       = 0
	offUID        = 2
	offSize       = 4
	offMtime      = 16
	offGID        = 24
	offLinks      = 26
	offFlags      = 32
	offBlock      = 40
	blockMapBytes = 60
	offGeneration = 100
	offSizeHigh   = 108
	offUIDHigh    = 120
	offGIDHigh    = 122
	offSumLow     = 124
	inodeOldBytes = 128
	offExtraBytes = 128
	offSumHigh    = 130
	offMtimeExtra = 136
)

// Inode flags.
const (
	flagEncrypted = 0x800
	flagExtents   = 0x80000
	flagInline    = 0x10000000
)

// Types in the mode.
const (
	typeMask    = 0xf000
	typeFIFO    = 0x1000
	typeChar    = 0x2000
	typeDir     = 0x4000
	typeBlock   = 0x6000
	typeRegular = 0x8000
	typeLink    = 0xa000
	typeSocket  = 0xc000
)

// Inode is a file of any type.
type Inode struct {
	Number   uint64
	UID, GID uint32
	Links    int
	Size     int64
	Modified time.Time

	mode       uint16
	flags      uint32
	generation uint32
	raw        []byte
}

// Inode reads inode n and verifies its checksum, if it has one.
func (f *FS) Inode(n uint64) (*Inode, error) {
	at, err := f.g.InodeOffset(n)
	if err != nil {
		return nil, err
	}
	b := make([]byte, f.g.InodeBytes)
	if err := freemap.ReadFull(f.r, b, at); err != nil {
		return nil, fmt.Errorf("inode %d: %w", n, err)
	}
	le := binary.LittleEndian
	i := &Inode{
		Number: n, mode: le.Uint16(b[offMode:]), Links: int(le.Uint16(b[offLinks:])),
		UID:  uint32(le.Uint16(b[offUID:])) | uint32(le.Uint16(b[offUIDHigh:]))<<16,
		GID:  uint32(le.Uint16(b[offGID:])) | uint32(le.Uint16(b[offGIDHigh:]))<<16,
		Size: int64(le.Uint32(b[offSize:])) | int64(le.Uint32(b[offSizeHigh:]))<<32,

		flags: le.Uint32(b[offFlags:]), generation: le.Uint32(b[offGeneration:]), raw: b,
	}
	if i.IsDir() && f.g.Incompat&ext.IncompatLargeDir == 0 {
		i.Size &= 1<<32 - 1 // the other half is something else
	}
	i.Modified = i.time(offMtime, offMtimeExtra)
	if !f.intact(i) {
		return nil, damaged("inode %d: checksum does not match", n)
	}
	// Block numbers in a file have 32 bits.
	if i.mode&typeMask == 0 || i.Size < 0 || uint64(i.Size)/f.g.BlockBytes > 1<<32 {
		return nil, damaged("inode %d: mode %o, %d bytes", n, i.mode, i.Size)
	}
	return i, nil
}

// extra is how many bytes of the inode after the old ones are in use.
func (i *Inode) extra() int {
	if len(i.raw) < inodeOldBytes+4 {
		return 0
	}
	return min(int(binary.LittleEndian.Uint16(i.raw[offExtraBytes:])), len(i.raw)-inodeOldBytes)
}

// intact verifies the checksum: over the number, the generation, and all of the
// inode but the checksum itself.
func (f *FS) intact(i *Inode) bool {
	b, zero := i.raw, []byte{0, 0}
	want := uint32(binary.LittleEndian.Uint16(b[offSumLow:]))
	parts := append(f.salt(i), b[:offSumLow], zero, b[offSumLow+2:inodeOldBytes])
	wide := i.extra() >= offSumHigh+2-inodeOldBytes
	if wide {
		want |= uint32(binary.LittleEndian.Uint16(b[offSumHigh:])) << 16
		parts = append(parts, b[inodeOldBytes:offSumHigh], zero, b[offSumHigh+2:])
	} else {
		parts = append(parts, b[inodeOldBytes:])
	}
	sum, ok := f.g.Checksum(parts...)
	if !wide {
		sum &= 0xffff
	}
	return !ok || sum == want
}

// salt is what all checksums of an inode's structures begin with.
func (f *FS) salt(i *Inode) [][]byte {
	le := binary.LittleEndian
	return [][]byte{le.AppendUint32(nil, uint32(i.Number)), le.AppendUint32(nil, i.generation)}
}

func (i *Inode) time(at, extra int) time.Time {
	le := binary.LittleEndian
	sec, nsec := int64(int32(le.Uint32(i.raw[at:]))), int64(0)
	if i.extra() >= extra+4-inodeOldBytes {
		x := le.Uint32(i.raw[extra:])
		sec += int64(x&3) << 32
		nsec = int64(x >> 2)
	}
	return time.Unix(sec, nsec).UTC()
}

// Mode is type and permissions.
func (i *Inode) Mode() fs.FileMode {
	m := fs.FileMode(i.mode & 0o777)
	for bit, is := range map[uint16]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if i.mode&bit != 0 {
			m |= is
		}
	}
	switch i.mode & typeMask {
	case typeRegular:
	case typeDir:
		m |= fs.ModeDir
	case typeLink:
		m |= fs.ModeSymlink
	case typeFIFO:
		m |= fs.ModeNamedPipe
	case typeSocket:
		m |= fs.ModeSocket
	case typeChar:
		m |= fs.ModeDevice | fs.ModeCharDevice
	case typeBlock:
		m |= fs.ModeDevice
	default:
		m |= fs.ModeIrregular
	}
	return m
}

// IsDir tells a directory.
func (i *Inode) IsDir() bool { return i.mode&typeMask == typeDir }

// Device is major and minor number of a device file.
func (i *Inode) Device() (major, minor uint32) {
	if t := i.mode & typeMask; t != typeChar && t != typeBlock {
		return 0, 0
	}
	le := binary.LittleEndian
	if v := le.Uint32(i.raw[offBlock:]); v != 0 {
		return v >> 8 & 0xff, v & 0xff
	}
	v := le.Uint32(i.raw[offBlock+4:])
	return v >> 8 & 0xfff, v&0xff | v>>12&0xfff00
}
