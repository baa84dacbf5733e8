// Package ntfs finds the free space of NTFS volumes from their $Bitmap (spec
// freemaps, section 5).
//
// Page files and hibernation files are kept, unlike in images of old tools.
package ntfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

const (
	bootBytes      = 512
	magic          = "NTFS    "
	offMagic       = 3
	offSectorBytes = 11
	offCluster     = 13
	offSectors     = 40
	offMFT         = 48
	offRecord      = 64

	clusterBytesMax = 2 << 20
	recordBytesMax  = 64 << 10
	fixupUnit       = 512
	recordVolume    = 3
	recordBitmap    = 6

	attrVolumeInfo  = 0x70
	attrData        = 0x80
	attrEnd         = 0xffffffff
	volumeDirty     = 1
	runsMax         = 1 << 20
	bitmapReadBytes = 1 << 20
)

// volume is a boot sector, decoded.
type volume struct {
	r            io.ReaderAt
	clusterBytes uint64
	clusters     uint64
	sectors      uint64 // of 512 bytes
	mft          uint64 // byte
	recordBytes  uint64
}

// Is tells whether r begins with the boot sector of an NTFS volume.
func Is(r io.ReaderAt) bool {
	b := make([]byte, bootBytes)
	n, _ := r.ReadAt(b, 0)
	return n == len(b) && string(b[offMagic:offMagic+len(magic)]) == magic
}

func parse(r io.ReaderAt, size int64) (*volume, error) {
	b := make([]byte, bootBytes)
	if n, err := r.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("NTFS boot sector: %w", err)
	}
	le := binary.LittleEndian
	sector := uint64(le.Uint16(b[offSectorBytes:]))
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 {
		return nil, fmt.Errorf("NTFS with sectors of %d bytes", sector)
	}
	per, ok := power(b[offCluster])
	v := &volume{r: r, clusterBytes: per * sector}
	if !ok || v.clusterBytes > clusterBytesMax {
		return nil, fmt.Errorf("NTFS with clusters of %d sectors", b[offCluster])
	}
	total := le.Uint64(b[offSectors:])
	if total > uint64(size)/sector || total == 0 {
		return nil, fmt.Errorf("NTFS of %d sectors of %d bytes in a partition of %d bytes", total, sector, size)
	}
	v.clusters = total / per
	// The copy of the boot sector is after the volume, and a part of it.
	v.sectors = min((total+1)*sector, uint64(size)) / freemap.SectorBytes
	if n := int8(b[offRecord]); n > 0 {
		v.recordBytes = uint64(n) * v.clusterBytes
	} else if -n < 32 {
		v.recordBytes = 1 << -n
	}
	mft := le.Uint64(b[offMFT:])
	if v.recordBytes < fixupUnit || v.recordBytes > recordBytesMax || v.recordBytes%fixupUnit != 0 || mft >= v.clusters {
		return nil, fmt.Errorf("NTFS with records of %d bytes at cluster %d", v.recordBytes, mft)
	}
	v.mft = mft * v.clusterBytes
	return v, nil
}

// power decodes the sectors of a cluster: a number, or a negative power of 2.
func power(n byte) (uint64, bool) {
	if n > 0x80 {
		shift := 256 - uint(n)
		return 1 << shift, shift < 32
	}
	return uint64(n), n != 0 && n&(n-1) == 0
}

// Free returns the free space of the volume at the start of r, which has size
// bytes to live in.
func Free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	v, err := parse(r, size)
	if err != nil {
		return nil, err
	}
	m := &freemap.Map{Type: "NTFS", Sectors: v.sectors}
	if err := v.clean(); err != nil {
		return freemap.Whole(m.Type, size, err), nil
	}
	attr, err := v.attribute(recordBitmap, attrData)
	if err != nil {
		return nil, fmt.Errorf("NTFS $Bitmap: %w", err)
	}
	if err := v.bitmap(attr, m); err != nil {
		return nil, fmt.Errorf("NTFS $Bitmap: %w", err)
	}
	return m, nil
}

// record reads a record of the MFT, which begins in one piece.
func (v *volume) record(n uint64) ([]byte, error) {
	b := make([]byte, v.recordBytes)
	if k, err := v.r.ReadAt(b, int64(v.mft+n*v.recordBytes)); k < len(b) {
		return nil, fmt.Errorf("record %d: %w", n, err)
	}
	le := binary.LittleEndian
	usa, count := int(le.Uint16(b[4:])), int(le.Uint16(b[6:]))
	if string(b[:4]) != "FILE" || count != len(b)/fixupUnit+1 || usa+2*count > len(b) {
		return nil, fmt.Errorf("record %d is damaged", n)
	}
	for i := 1; i < count; i++ {
		end := b[i*fixupUnit-2 : i*fixupUnit]
		if le.Uint16(end) != le.Uint16(b[usa:]) {
			return nil, fmt.Errorf("record %d is torn", n)
		}
		copy(end, b[usa+2*i:usa+2*i+2])
	}
	return b, nil
}

// attribute finds the unnamed attribute of a kind in a record.
func (v *volume) attribute(n uint64, kind uint32) ([]byte, error) {
	b, err := v.record(n)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	for at := int(le.Uint16(b[20:])); at+16 <= len(b); {
		k, size := le.Uint32(b[at:]), int(le.Uint32(b[at+4:]))
		if k == attrEnd {
			break
		}
		if size < 16 || at+size > len(b) {
			return nil, fmt.Errorf("record %d has an attribute of %d bytes", n, size)
		}
		if k == kind && b[at+9] == 0 {
			return b[at : at+size], nil
		}
		at += size
	}
	return nil, fmt.Errorf("record %d has no attribute %#x of its own", n, kind)
}

func resident(attr []byte) ([]byte, error) {
	if attr[8] != 0 || len(attr) < 24 {
		return nil, errors.New("attribute is not resident")
	}
	size, at := int(binary.LittleEndian.Uint32(attr[16:])), int(binary.LittleEndian.Uint16(attr[20:]))
	if size < 0 || at+size > len(attr) {
		return nil, errors.New("value outside its attribute")
	}
	return attr[at : at+size], nil
}

// extent is a run of clusters of a file.
type extent struct{ cluster, count uint64 }

// extents decodes the run list of an attribute that is not resident.
func (v *volume) extents(attr []byte) ([]extent, error) {
	if attr[8] == 0 || len(attr) < 64 {
		return nil, errors.New("attribute is resident or too short")
	}
	at := int(binary.LittleEndian.Uint16(attr[32:]))
	if at > len(attr) {
		return nil, errors.New("run list outside its attribute")
	}
	var out []extent
	cluster := int64(0)
	for b := attr[at:]; len(b) > 0 && b[0] != 0; {
		nCount, nOffset := int(b[0]&15), int(b[0]>>4)
		if nCount == 0 || nCount > 8 || nOffset == 0 || nOffset > 8 || 1+nCount+nOffset > len(b) || len(out) == runsMax {
			return nil, errors.New("damaged or sparse run list")
		}
		count := uint64(signed(b[1 : 1+nCount]))
		cluster += signed(b[1+nCount : 1+nCount+nOffset])
		if cluster < 0 || uint64(cluster) >= v.clusters || count > v.clusters-uint64(cluster) {
			return nil, errors.New("run outside the volume")
		}
		out = append(out, extent{uint64(cluster), count})
		b = b[1+nCount+nOffset:]
	}
	return out, nil
}

// signed decodes a little-endian number of 1 to 8 bytes.
func signed(b []byte) int64 {
	n := int64(int8(b[len(b)-1]))
	for i := len(b) - 2; i >= 0; i-- {
		n = n<<8 | int64(b[i])
	}
	return n
}

// Sizes in the head of an attribute that is not resident.
const (
	offDataBytes   = 48
	offInitialized = 56
)

// bitmap adds the clear bits of the bitmap in attr. It has no checksum, so what
// must be in use has to be.
func (v *volume) bitmap(attr []byte, m *freemap.Map) error {
	extents, err := v.extents(attr)
	if err != nil {
		return err
	}
	le, need := binary.LittleEndian, (v.clusters+7)/8
	if size, written := le.Uint64(attr[offDataBytes:]), le.Uint64(attr[offInitialized:]); size < need || written < need {
		return fmt.Errorf("%d bytes, of which %d were written, for %d clusters", size, written, v.clusters)
	}
	per := v.clusterBytes / freemap.SectorBytes
	at := uint64(0) // cluster of the next bit
	buf := make([]byte, bitmapReadBytes)
	for _, e := range extents {
		offset, left := e.cluster*v.clusterBytes, e.count*v.clusterBytes
		for left > 0 && at < v.clusters {
			p := buf[:min(left, uint64(len(buf)))]
			if n, err := v.r.ReadAt(p, int64(offset)); n < len(p) {
				return fmt.Errorf("byte %d: %w", offset, err)
			}
			bits := min(uint64(len(p))*8, v.clusters-at)
			freemap.ClearRuns(p, int(bits), func(from, to int) {
				m.Free = freemap.Append(m.Free, (at+uint64(from))*per, (at+uint64(to))*per)
			})
			at += bits
			offset, left = offset+uint64(len(p)), left-uint64(len(p))
		}
	}
	if at < v.clusters {
		return fmt.Errorf("only %d of %d clusters are in it", at, v.clusters)
	}
	for _, e := range append(extents, extent{0, 1}, extent{v.mft / v.clusterBytes, 1}) {
		if len(freemap.Overlap(m.Free, freemap.Range{Start: e.cluster * per, End: (e.cluster + e.count) * per})) > 0 {
			return fmt.Errorf("has clusters [%d,+%d) as free, which are the file system's own", e.cluster, e.count)
		}
	}
	return nil
}
