// Package member tells disks and partitions that are parts of something larger,
// or the lower layer of something else: RAID, ZFS, caches, encryption. What
// looks like a file system on them is not one, or not where it seems to be.
package member

import (
	"bytes"
	"encoding/binary"
	"io"
)

// mark is a sequence of bytes at a place.
type mark struct {
	name, bytes string
	at          int64 // negative: there is no room for it
}

const (
	raidMagic    = "\xfc\x4e\x2b\xa9"
	raidMagicBig = "\xa9\x2b\x4e\xfc"
	// raidOldBytes is the alignment of the superblock of version 0.90, and its
	// distance from the end.
	raidOldBytes = 64 << 10

	zfsLabelBytes  = 256 << 10
	zfsUberblocks  = 128 << 10 // in a label, to its end
	zfsUberBytes   = 1 << 10   // each, or more
	zfsMagic       = 0x00bab10c
	zfsLabelsAtEnd = 2
)

// Of returns what r, which has size bytes, is a part of, or "".
func Of(r io.ReaderAt, size int64) string {
	for _, m := range marks(size) {
		b := make([]byte, len(m.bytes))
		if m.at < 0 {
			continue
		}
		if n, _ := r.ReadAt(b, m.at); n == len(b) && string(b) == m.bytes {
			return m.name
		}
	}
	end := size / zfsLabelBytes * zfsLabelBytes
	if size >= 4*zfsLabelBytes && (zfs(r, 0) || zfs(r, end-zfsLabelBytes) || zfs(r, end-zfsLabelsAtEnd*zfsLabelBytes)) {
		return "ZFS"
	}
	return ""
}

// marks are those that have one place.
func marks(size int64) []mark {
	old := size/raidOldBytes*raidOldBytes - raidOldBytes
	return []mark{
		{"Linux RAID", raidMagic, 0},                          // 1.1
		{"Linux RAID", raidMagic, 4096},                       // 1.2
		{"Linux RAID", raidMagic, (size/512 - 16) &^ 7 * 512}, // 1.0
		{"Linux RAID", raidMagic, old},                        // 0.90
		{"Linux RAID", raidMagicBig, old},
		{"Intel RAID", "Intel Raid ISM Cfg Sig. ", size/512*512 - 1024}, // sector before the last
		{"DDF RAID", "\xde\x11\xde\x11", size/512*512 - 512},            // anchor
		{"DDF RAID", "\x11\xde\x11\xde", size/512*512 - 512},
		{"bcache", "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81", 4096 + 24},
		{"BitLocker", "-FVE-FS-", 3},
		// To Go: a FAT for show, and this GUID.
		{"BitLocker", "\x3b\xd6\x67\x49\x29\x2e\xd8\x4a\x83\x99\xf6\xa3\x39\xe3\xd0\x01", 424},
		{"dm-integrity", "integrt\x00", 0},
		{"VDO", "dmvdo001", 0},
	}
}

// zfs tells whether a label has an uberblock, of either byte order.
func zfs(r io.ReaderAt, label int64) bool {
	b := make([]byte, zfsLabelBytes-zfsUberblocks)
	if n, _ := r.ReadAt(b, label+zfsUberblocks); n < len(b) {
		return false
	}
	var little, big [8]byte
	binary.LittleEndian.PutUint64(little[:], zfsMagic)
	binary.BigEndian.PutUint64(big[:], zfsMagic)
	for at := 0; at < len(b); at += zfsUberBytes {
		if m := b[at : at+8]; bytes.Equal(m, little[:]) || bytes.Equal(m, big[:]) {
			return true
		}
	}
	return false
}
