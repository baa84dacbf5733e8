package exfat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

// Boot sector fields (section 3.1).
const (
	bootBytes  = 512
	offName    = 3
	name       = "EXFAT   "
	offZero    = 11
	endZero    = 64
	offSectors = 72
	offFAT     = 80
	offFATSize = 84
	offHeap    = 88
	offCount   = 92
	offRoot    = 96
	offVersion = 104
	offFlags   = 106
	offShift   = 108
	offCluster = 109
	offFATs    = 110
	offPercent = 112
	offSign    = 510
	signature  = 0xaa55

	flagSecondFAT = 1
	flagDirty     = 2
	flagFailed    = 4

	sectorShiftMin  = 9
	sectorShiftMax  = 12
	clusterShiftMax = 25 // 32 MiB
	clustersMax     = 0xfffffff5
	firstCluster    = 2
	checkedSectors  = 11 // the checksum is in the one after
	fatEntryBytes   = 4
	versionMajor    = 1
)

// volume is a boot sector, decoded. Offsets and sizes are in bytes.
type volume struct {
	r            io.ReaderAt
	sectorBytes  uint64
	clusterBytes uint64
	size         uint64
	fat, heap    uint64
	clusters     uint64
	root         uint64 // cluster
}

// Is tells whether r begins with the boot sector of an exFAT file system.
func Is(r io.ReaderAt) bool {
	b := make([]byte, bootBytes)
	return freemap.ReadFull(r, b, 0) == nil && isBoot(b)
}

func isBoot(b []byte) bool {
	for _, x := range b[offZero:endZero] {
		if x != 0 {
			return false // the parameters of FAT and NTFS are there
		}
	}
	return string(b[offName:][:len(name)]) == name && binary.LittleEndian.Uint16(b[offSign:]) == signature
}

func readBoot(r io.ReaderAt, size int64) (*volume, error) {
	b := make([]byte, bootBytes)
	if err := freemap.ReadFull(r, b, 0); err != nil {
		return nil, fmt.Errorf("boot sector: %w", err)
	}
	v, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("boot sector: %w", err)
	}
	if v.size > uint64(size) {
		return nil, fmt.Errorf("file system of %d bytes in a partition of %d", v.size, size)
	}
	v.r = r
	return v, v.checkBoot()
}

func parse(b []byte) (*volume, error) {
	le := binary.LittleEndian
	u32 := func(at int) uint64 { return uint64(le.Uint32(b[at:])) }
	flags, shift, cluster := le.Uint16(b[offFlags:]), b[offShift], b[offCluster]
	switch {
	case !isBoot(b):
		return nil, errors.New("no exFAT")
	case b[offVersion+1] != versionMajor:
		return nil, fmt.Errorf("version %d.%d", b[offVersion+1], b[offVersion])
	case flags&(flagDirty|flagFailed) != 0:
		return nil, fmt.Errorf("volume is marked dirty or failing (%#x): run fsck.exfat before imaging", flags)
	case b[offFATs] != 1 || flags&flagSecondFAT != 0:
		return nil, fmt.Errorf("%d FATs and bitmaps (TexFAT)", b[offFATs])
	case shift < sectorShiftMin || shift > sectorShiftMax || cluster > clusterShiftMax-shift:
		return nil, fmt.Errorf("sectors of 2^%d bytes, clusters of 2^%d sectors", shift, cluster)
	}
	v := &volume{
		sectorBytes: 1 << shift, clusterBytes: 1 << (shift + cluster), clusters: u32(offCount), root: u32(offRoot),
		fat: u32(offFAT) << shift, heap: u32(offHeap) << shift,
	}
	sectors, fatBytes := le.Uint64(b[offSectors:]), u32(offFATSize)<<shift
	switch {
	case sectors >= 1<<(63-sectorShiftMax):
		return nil, fmt.Errorf("%d sectors", sectors)
	case v.clusters == 0 || v.clusters > clustersMax || !v.has(v.root),
		fatBytes < (v.clusters+firstCluster)*fatEntryBytes,
		v.fat < 2*(checkedSectors+1)*v.sectorBytes, v.heap < v.fat+fatBytes,
		v.heap+v.clusters*v.clusterBytes > sectors<<shift:
		return nil, fmt.Errorf("%d clusters from byte %d, FAT of %d bytes at byte %d, %d sectors", v.clusters, v.heap, fatBytes, v.fat, sectors)
	}
	v.size = sectors << shift
	return v, nil
}

// checkBoot verifies the checksum over the boot sectors (section 3.4).
func (v *volume) checkBoot() error {
	b := make([]byte, (checkedSectors+1)*v.sectorBytes)
	if err := freemap.ReadFull(v.r, b, 0); err != nil {
		return fmt.Errorf("boot sectors: %w", err)
	}
	sum := uint32(0)
	for i, x := range b[:checkedSectors*v.sectorBytes] {
		if i != offFlags && i != offFlags+1 && i != offPercent {
			sum = sum<<31 | sum>>1
			sum += uint32(x)
		}
	}
	if binary.LittleEndian.Uint32(b[checkedSectors*v.sectorBytes:]) != sum {
		return errors.New("checksum of the boot sectors does not match; run fsck.exfat first")
	}
	return nil
}

// has tells whether there is such a cluster.
func (v *volume) has(cluster uint64) bool {
	return cluster >= firstCluster && cluster < v.clusters+firstCluster
}

// place is the byte at which a cluster begins.
func (v *volume) place(cluster uint64) int64 {
	return int64(v.heap + (cluster-firstCluster)*v.clusterBytes)
}

// next is the cluster after one in its chain; false at the end.
func (v *volume) next(cluster uint64) (uint64, bool, error) {
	const last = 0xffffffff
	var b [fatEntryBytes]byte
	if err := freemap.ReadFull(v.r, b[:], int64(v.fat+cluster*fatEntryBytes)); err != nil {
		return 0, false, fmt.Errorf("FAT: %w", err)
	}
	n := uint64(binary.LittleEndian.Uint32(b[:]))
	if n == last {
		return 0, false, nil
	}
	if !v.has(n) {
		return 0, false, fmt.Errorf("cluster %d is followed by %#x", cluster, n)
	}
	return n, true, nil
}
