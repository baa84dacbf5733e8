package v5

// check holds the fields against every rule that needs no payload.
func (h *Header) check() error {
	zero := h.Base == [32]byte{}
	if h.Delta == zero {
		return faultf(offFlags, "a delta without base, or a base without delta")
	}
	if h.Last > bytesMax/uint64(h.SectorBytes) || h.First >= h.Last {
		return faultf(offFirst, "covers sectors [%d,%d) of %d bytes", h.First, h.Last, h.SectorBytes)
	}
	if h.End != 0 && (h.End < h.Last || h.End > bytesMax/uint64(h.SectorBytes)) {
		return faultf(offEnd, "image ends at sector %d, the chunk at %d", h.End, h.Last)
	}
	if h.StreamBytes%h.SectorBytes != 0 {
		return faultf(offStream, "stream of %d bytes is not whole sectors of %d", h.StreamBytes, h.SectorBytes)
	}
	if h.Codec == None && h.PayloadBytes != h.StreamBytes {
		return faultf(offPayload, "payload of %d bytes without compression, stream of %d", h.PayloadBytes, h.StreamBytes)
	}
	if err := h.checkRecords(); err != nil {
		return err
	}
	return h.checkRelocs()
}

// checkRecords makes sure that the records tile [First, Last) and use up the
// stream.
func (h *Header) checkRecords() error {
	at, stream, restored := h.First, uint64(0), uint64(0)
	sector := uint64(h.SectorBytes)
	offset := offTable
	for i, r := range h.Records {
		switch {
		case r.Sectors == 0 || r.Sectors > h.Last-at:
			return faultf(offset, "record %d of %d sectors at %d, the chunk ends at %d", i, r.Sectors, at, h.Last)
		case r.Kind != Repeat && i > 0 && h.Records[i-1].Kind == r.Kind:
			return faultf(offset, "record %d goes on like the one before, %s", i, r.Kind)
		case r.Kind == Repeat && (r.Source > stream || r.Sectors > stream-r.Source):
			return faultf(offset, "record %d repeats sectors [%d,+%d) of a stream of %d so far", i, r.Source, r.Sectors, stream)
		}
		if r.Kind != Free {
			if restored += r.Sectors; restored > RestoredBytesMax/sector {
				return faultf(offset, "record %d brings the chunk's data beyond %d bytes", i, RestoredBytesMax)
			}
		}
		if r.Kind == Data {
			if stream += r.Sectors; stream > uint64(h.StreamBytes)/sector {
				return faultf(offset, "record %d reads beyond the stream of %d bytes", i, h.StreamBytes)
			}
		}
		at += r.Sectors
		offset += r.bytes()
	}
	switch {
	case at != h.Last:
		return faultf(offset, "records end at sector %d, the chunk at %d", at, h.Last)
	case restored == 0:
		return faultf(offTable, "nothing in the chunk is in use")
	case stream*sector != uint64(h.StreamBytes):
		return faultf(offStream, "stream of %d bytes, the records use %d", h.StreamBytes, stream*sector)
	}
	return nil
}

// relocSectorBytes is the sector that relocations count, in every image.
const relocSectorBytes = 512

// checkRelocs makes sure that what relocations change is data of one record.
func (h *Header) checkRelocs() error {
	for i, r := range h.Relocs {
		from, to := uint64(r.Offset), uint64(r.Offset)+uint64(r.Size)
		if r.Sector >= h.Last*uint64(h.SectorBytes/relocSectorBytes) || !h.Stored(r.Sector*relocSectorBytes+from, r.Sector*relocSectorBytes+to) {
			return faultf(h.RelocAt(i), "relocation %d of %d bytes at byte %d of sector %d is not inside one record of data", i, r.Size, r.Offset, r.Sector)
		}
	}
	return nil
}

// RelocAt is where in the chunk relocation i is.
func (h *Header) RelocAt(i int) int { return offTable + TableBytes(h.Records, i) }

// Stored tells whether the bytes [from, to) of the image are data of one
// record, which nothing else restores.
func (h *Header) Stored(from, to uint64) bool {
	at, sector := h.First*uint64(h.SectorBytes), uint64(h.SectorBytes)
	for _, r := range h.Records {
		end := at + r.Sectors*sector
		if from < end {
			return r.Kind == Data && from >= at && to <= end
		}
		at = end
	}
	return false
}

// bytes is the size of r in the table.
func (r Record) bytes() int {
	n := uvarintBytes(r.Sectors<<2 | uint64(r.Kind))
	if r.Kind == Repeat {
		n += uvarintBytes(r.Source)
	}
	return n
}

// TableBytes is how much of TableBytesMax the records and relocations take.
func TableBytes(records []Record, relocs int) int {
	n := relocs * RelocBytes
	for _, r := range records {
		n += r.bytes()
	}
	return n
}

// RestoredBytes is how much the chunk writes.
func (h *Header) RestoredBytes() int64 {
	var n uint64
	for _, r := range h.Records {
		if r.Kind != Free {
			n += r.Sectors
		}
	}
	return int64(n) * int64(h.SectorBytes)
}
