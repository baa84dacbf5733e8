package exfat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hyzer/imaging/freemap"
)

const (
	kind = "exFAT"

	// Directory entries (sections 6 and 7.1).
	entryBytes    = 32
	entryEnd      = 0
	entryBitmap   = 0x81
	offBitmapFlag = 1
	offFirst      = 20
	offLength     = 24

	rootBytesMax = 256 << 20 // of any directory (section 7.4)
	windowBytes  = 64 << 10
)

// Free returns the free space of the file system that begins at the start of
// r and has size bytes to live in. One that is unclean, unknown or damaged is
// kept whole.
func Free(r io.ReaderAt, size int64) (*freemap.Map, error) {
	v, err := readBoot(r, size)
	if err != nil {
		return freemap.Whole(kind, size, err), nil
	}
	free, err := v.free()
	if err != nil {
		return freemap.Whole(kind, size, err), nil
	}
	return &freemap.Map{Type: kind, Sectors: v.size / freemap.SectorBytes, Free: free}, nil
}

// free reads the bitmap, of which bit i is cluster i+2.
func (v *volume) free() ([]freemap.Range, error) {
	metadata, bitmap, err := v.findBitmap()
	if err != nil {
		return nil, fmt.Errorf("root directory: %w", err)
	}
	var free []freemap.Range
	left := (v.clusters + 7) / 8
	bit := uint64(0)
	add := func(p []byte) {
		n := min(v.clusters-bit, uint64(len(p))*8)
		freemap.ClearRuns(p, int(n), func(from, to int) {
			free = freemap.Append(free, bit+uint64(from)+firstCluster, bit+uint64(to)+firstCluster)
		})
		bit += n
	}
	err = v.eachCluster(bitmap, left, func(cluster uint64) (bool, error) {
		metadata = append(metadata, freemap.Range{Start: cluster, End: cluster + 1})
		n := min(left, v.clusterBytes)
		left -= n
		return left > 0, v.eachWindow(cluster, n, add)
	})
	if err != nil {
		return nil, fmt.Errorf("allocation bitmap: %w", err)
	}
	if metadata = freemap.Normalize(metadata); freemap.Total(freemap.Subtract(free, metadata)) != freemap.Total(free) {
		return nil, errors.New("allocation bitmap has metadata as free")
	}
	for i, f := range free {
		free[i].Start = uint64(v.place(f.Start)) / freemap.SectorBytes
		free[i].End = uint64(v.place(f.End)) / freemap.SectorBytes
	}
	return free, nil
}

// findBitmap looks through the root directory for the entry of the bitmap, and
// returns the clusters that it read and the first one of the bitmap.
func (v *volume) findBitmap() (read []freemap.Range, bitmap uint64, err error) {
	err = v.eachCluster(v.root, rootBytesMax, func(cluster uint64) (bool, error) {
		read = append(read, freemap.Range{Start: cluster, End: cluster + 1})
		end := false
		err := v.eachWindow(cluster, v.clusterBytes, func(p []byte) {
			for ; len(p) >= entryBytes && !end && bitmap == 0; p = p[entryBytes:] {
				end = p[0] == entryEnd
				if p[0] == entryBitmap && p[offBitmapFlag]&1 == 0 && binary.LittleEndian.Uint64(p[offLength:]) >= (v.clusters+7)/8 {
					bitmap = uint64(binary.LittleEndian.Uint32(p[offFirst:]))
				}
			}
		})
		return bitmap == 0 && !end, err
	})
	if err == nil && !v.has(bitmap) {
		err = errors.New("no allocation bitmap of the right size")
	}
	return read, bitmap, err
}

// eachCluster calls fn for the clusters of a chain of up to bytesMax bytes
// until it wants no more, which must be before the chain ends.
func (v *volume) eachCluster(cluster, bytesMax uint64, fn func(cluster uint64) (more bool, err error)) error {
	for at := uint64(0); at < bytesMax; at += v.clusterBytes {
		more, err := fn(cluster)
		if err != nil || !more {
			return err
		}
		next, ok, err := v.next(cluster)
		if err != nil {
			return err
		}
		if !ok {
			return fmt.Errorf("chain ends after cluster %d", cluster)
		}
		cluster = next
	}
	return fmt.Errorf("chain of more than %d bytes", bytesMax)
}

// eachWindow reads the first n bytes of a cluster in pieces.
func (v *volume) eachWindow(cluster, n uint64, fn func(p []byte)) error {
	buf := make([]byte, min(n, windowBytes))
	for at := uint64(0); at < n; at += windowBytes {
		p := buf[:min(uint64(len(buf)), n-at)]
		if err := freemap.ReadFull(v.r, p, v.place(cluster)+int64(at)); err != nil {
			return err
		}
		fn(p)
	}
	return nil
}
