package ndz

import (
	"fmt"
	"io"
	"math"

	"hyzer/imaging/v5"
)

// dumper prints what imagedump does about one image.
type dumper struct {
	w      io.Writer
	name   string
	detail int // 0 sums only, 1 chunks, 2 regions and relocations
	areas  bool
	sums   Collector

	regionsMin, regionsMax int
	relocBytes             int64
	free, allocated        spread
	sizes                  [len(sizeClasses) + 1]int
}

// sizeClasses are the upper bounds of the size distribution, in KiB.
var sizeClasses = [...]int64{4, 8, 16, 32, 64, 128, 256}

// spread is the number, sum and extremes of byte counts.
type spread struct{ n, sum, low, high int64 }

func (s *spread) add(v int64) {
	if s.n == 0 || v < s.low {
		s.low = v
	}
	s.n, s.sum, s.high = s.n+1, s.sum+v, max(s.high, v)
}

func (s spread) print(w io.Writer, what string) {
	if s.n > 0 {
		fmt.Fprintf(w, "  %d %s ranges: %d/%d/%d ave/min/max size\n", s.n, what, s.sum/s.n, s.low, s.high)
	}
}

// Dump prints a description of an image of size bytes in the text form that
// scripts parse (spec ndz, section 6).
func Dump(w io.Writer, name string, r io.ReaderAt, size int64, detail int) error {
	return dump(&dumper{w: w, name: name, detail: detail}, r, size)
}

func dump(d *dumper, r io.ReaderAt, size int64) error {
	buf := make([]byte, HeaderAreaBytes)
	for i := range int(size / ChunkBytes) {
		if n, err := r.ReadAt(buf, int64(i)*ChunkBytes); n < len(buf) {
			return fmt.Errorf("chunk %d: %w", i, err)
		}
		h, err := ParseHeader(buf)
		if err != nil {
			return InChunk(err, i)
		}
		if i == 0 {
			d.head(h, size)
		}
		if err := d.chunk(h); err != nil {
			return err
		}
	}
	// The same checks again, and the ones for the file's size.
	if _, err := Info(r, size); err != nil {
		return err
	}
	d.total(size)
	return nil
}

func (d *dumper) head(h *Header, size int64) {
	fmt.Fprintf(d.w, "%s: %d bytes, %d chunks, version %d", d.name, size, size/ChunkBytes, h.Version)
	switch h.Checksum {
	case ChecksumSHA1:
		fmt.Fprintf(d.w, ", csum (%#x)", uint16(h.Checksum))
	case ChecksumSignedSHA1:
		fmt.Fprintf(d.w, ", signed csum (%#x)", uint16(h.Checksum))
	}
	if h.Cipher != CipherNone {
		fmt.Fprintf(d.w, ", encrypted (%d)", h.Cipher)
	}
	fmt.Fprintln(d.w)
	if h.Version >= V4 && d.detail > 0 {
		fmt.Fprintf(d.w, "  uuid: %s\n", h.ImageID)
	}
	if h.V5 != nil && d.detail > 0 {
		fmt.Fprintf(d.w, "  version of the image: %d, sectors of %d bytes\n", h.V5.ImageVersion, h.V5.SectorBytes)
	}
	if d.detail > 0 && h.Mark.Delta {
		fmt.Fprintf(d.w, "  delta on state: %s\n", h.Mark.Base)
	}
	if d.detail > 0 && !h.Mark.State.IsZero() {
		fmt.Fprintf(d.w, "  makes state: %s\n", h.Mark.State)
	}
}

func (d *dumper) chunk(h *Header) error {
	i := d.sums.sum.Chunks
	if h.RegionAreaBytes != HeaderAreaBytes {
		fmt.Fprintf(d.w, "  WARNING: unexpected region size (%d!=%d) in chunk %d\n", h.RegionAreaBytes, HeaderAreaBytes, i)
	}
	if h.Index != i {
		return InChunk(faultf(offIndex, "bad chunk index (%d)", h.Index), i)
	}
	if err := d.sums.Add(h); err != nil {
		return err
	}
	if i == 0 || len(h.Regions) < d.regionsMin {
		d.regionsMin = len(h.Regions)
	}
	d.regionsMax = max(d.regionsMax, len(h.Regions))
	if d.detail > 0 {
		d.chunkLines(i, h)
	}
	if d.areas {
		d.areaLines(h)
	}
	d.count(h)
	return nil
}

// areaLines prints what of a chunk's coverage is allocated and what is free.
func (d *dumper) areaLines(h *Header) {
	line := func(kind byte, from, to uint64) {
		if from < to {
			fmt.Fprintf(d.w, "%c: [%08x-%08x]\n", kind, from, to-1)
		}
	}
	at := h.First
	for _, r := range h.Regions {
		line('F', at, r.Start)
		line('A', r.Start, r.End())
		at = r.End()
	}
	line('F', at, h.Last)
}

func (d *dumper) chunkLines(i int, h *Header) {
	fmt.Fprintf(d.w, "  Chunk %d: %d compressed bytes, ", i, h.PayloadBytes)
	if h.Version >= V2 {
		fmt.Fprintf(d.w, "sector range [%d-%d], ", h.First, h.Last-1)
	}
	if len(h.Relocs) > 0 {
		fmt.Fprintf(d.w, "%d relocs, ", len(h.Relocs))
	}
	fmt.Fprintf(d.w, "%d regions\n", len(h.Regions))
	switch h.Checksum {
	case ChecksumSHA1:
		fmt.Fprintf(d.w, "    Checksum: %#x\n", h.Sum[:20])
	case ChecksumSignedSHA1:
		fmt.Fprintf(d.w, "    Checksum: %#x\n", h.Sum[:signedBlockBytes])
	}
	if h.Cipher != CipherNone {
		fmt.Fprintf(d.w, "    CipherIV: %#x\n", h.IV[:])
	}
	if h.V5 != nil {
		fmt.Fprintf(d.w, "    Payload: %s, %d bytes inflated\n", h.V5.Codec, h.V5.StreamBytes)
		d.recordLines(h.V5)
	}
	if d.detail < 2 {
		return
	}
	for k, r := range h.Regions {
		fmt.Fprintf(d.w, "    Region %d: %d sectors [%d-%d]\n", k, r.Size, r.Start, r.End()-1)
	}
	for k, r := range h.Relocs {
		fmt.Fprintf(d.w, "    Reloc %d: %s sector %d, offset %d-%d\n", k, r.Type, r.Sector, r.Offset, r.Offset+r.Size)
	}
}

// recordLines says what the records of a V5 chunk leave out of its payload.
func (d *dumper) recordLines(h *v5.Header) {
	var n [4]int
	var bytes [4]uint64
	for _, r := range h.Records {
		n[r.Kind]++
		bytes[r.Kind] += r.Sectors * uint64(h.SectorBytes)
	}
	for _, k := range []v5.Kind{v5.Zeros, v5.Repeat} {
		if n[k] > 0 {
			fmt.Fprintf(d.w, "    %d records of %s, %d bytes\n", n[k], k, bytes[k])
		}
	}
}

func (t RelocType) String() string {
	names := [...]string{"NONE", "FBSDDISKLABEL", "OBSDDISKLABEL", "LILOSADDR", "LILOMAPSECT", "LILOCKSUM", "SHORTSECTOR"}
	if int64(t) < int64(len(names)) {
		return names[t]
	}
	return fmt.Sprintf("UNKNOWN(%d)", uint32(t))
}

func (d *dumper) count(h *Header) {
	at := h.First
	for _, r := range h.Regions {
		if r.Start > at {
			d.free.add(int64(r.Start-at) * SectorBytes)
		}
		bytes := int64(r.Size) * SectorBytes
		d.allocated.add(bytes)
		class := 0
		for class < len(sizeClasses) && bytes >= sizeClasses[class]<<10 {
			class++
		}
		d.sizes[class]++
		at = r.End()
	}
	if h.Last > at {
		d.free.add(int64(h.Last-at) * SectorBytes)
	}
	for _, r := range h.Relocs {
		d.relocBytes += int64(r.Size)
	}
}

func (d *dumper) total(size int64) {
	if d.detail > 0 {
		fmt.Fprintln(d.w)
	}
	s, p := d.sums.sum, func(format string, args ...any) { fmt.Fprintf(d.w, "  "+format+"\n", args...) }
	waste := size - s.PayloadBytes
	p("%d bytes of overhead/wasted space (%5.2f%% of image file)", waste, percent(waste, size))
	// The average is over one chunk too many; scripts have seen no other.
	p("%d total regions: %.1f/%d/%d ave/min/max per chunk", s.Regions, float64(s.Regions)/float64(s.Chunks+1), d.regionsMin, d.regionsMax)
	if s.Relocs > 0 {
		p("%d relocations covering %d bytes", s.Relocs, d.relocBytes)
	}
	p("covered sector range: [%d-%d]", s.First, s.Last-1)
	p("%d bytes of compressed data", s.PayloadBytes)
	p("%5.2fx compression of allocated data (%d bytes)", ratio(s.DataBytes, s.PayloadBytes), s.DataBytes)
	known := int64(s.Last-s.First) * SectorBytes
	p("%5.2fx compression of total known disk size (%d bytes)", ratio(known, s.PayloadBytes), known)
	d.free.print(d.w, "free")
	d.allocated.print(d.w, "allocated")
	d.distribution()
}

func (d *dumper) distribution() {
	fmt.Fprintf(d.w, "  size distribution:\n")
	seen := int64(0)
	for i, n := range d.sizes {
		if n == 0 {
			continue
		}
		seen += int64(n)
		if i == len(sizeClasses) {
			fmt.Fprintf(d.w, "    >=%4dk bytes: %6d %4.1f%%\n", sizeClasses[i-1], n, percent(int64(n), d.allocated.n))
			continue
		}
		fmt.Fprintf(d.w, "    < %4dk bytes: %6d %4.1f%% %4.1f%%\n", sizeClasses[i], n,
			percent(int64(n), d.allocated.n), percent(seen, d.allocated.n))
	}
}

func percent(part, of int64) float64 { return 100 * ratio(part, of) }

func ratio(a, b int64) float64 {
	if b == 0 {
		return math.Inf(1)
	}
	return float64(a) / float64(b)
}
