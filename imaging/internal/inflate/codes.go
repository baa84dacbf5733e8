package inflate

func (f *Decoder) fixedCodes() error {
	var lengths [litSymbols]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	buildTable(f.lit[:], litTableBits, lengths[:], f.symbols.lit[:])
	var dist [distSymbols]uint8
	for i := range dist {
		dist[i] = 5
	}
	buildTable(f.dist[:], distTableBits, dist[:], f.symbols.dist[:])
	return nil
}

// dynamicCodes reads the code lengths of a block (RFC 1951, 3.2.7).
func (f *Decoder) dynamicCodes() error {
	if !f.need(14) {
		return errEnds
	}
	nlit, ndist, nlen := int(f.take(5))+257, int(f.take(5))+1, int(f.take(4))+4
	if nlit > litCodesMax || ndist > distCodesMax {
		return errCodes
	}
	var lengths [litCodesMax + distCodesMax]uint8
	if err := f.codeLengths(lengths[:nlit+ndist], nlen); err != nil {
		return err
	}
	if lengths[endOfBlock] == 0 ||
		!buildTable(f.lit[:], litTableBits, lengths[:nlit], f.symbols.lit[:]) ||
		!buildTable(f.dist[:], distTableBits, lengths[nlit:nlit+ndist], f.symbols.dist[:]) {
		return errCodes
	}
	return nil
}

const (
	lengthSymbols   = 19
	lengthTableBits = 7
)

// codeLengths reads run-length coded code lengths. The code they are coded
// with is kept where the distances will be.
func (f *Decoder) codeLengths(lengths []uint8, nlen int) error {
	order := [lengthSymbols]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
	var own [lengthSymbols]uint8
	var entries [lengthSymbols]huffEntry
	for i := range entries {
		entries[i] = huffEntry(i) << 16
	}
	for _, symbol := range order[:nlen] {
		if !f.need(3) {
			return errEnds
		}
		own[symbol] = uint8(f.take(3))
	}
	if !buildTable(f.dist[:], lengthTableBits, own[:], entries[:]) {
		return errCodes
	}
	for i := 0; i < len(lengths); {
		f.need(codeBitsMax) // as far as there are any
		e := f.dist[f.hold&(1<<lengthTableBits-1)]
		if e&entryLink != 0 {
			return errCode
		}
		if uint(e&63) > f.have {
			return errEnds
		}
		f.take(uint(e & 63))
		symbol := uint8(e >> 16)
		if symbol < 16 {
			lengths[i] = symbol
			i++
			continue
		}
		n, err := f.repeat(lengths, i, symbol)
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// repeat fills a run of equal lengths from i on.
func (f *Decoder) repeat(lengths []uint8, i int, symbol uint8) (int, error) {
	bits, base, value := uint(2), 3, uint8(0)
	switch symbol {
	case 16:
		if i == 0 {
			return 0, errCodes
		}
		value = lengths[i-1]
	case 17:
		bits = 3
	default:
		bits, base = 7, 11
	}
	if !f.need(bits) {
		return 0, errEnds
	}
	n := base + int(f.take(bits))
	if i+n > len(lengths) {
		return 0, errCodes
	}
	for j := range n {
		lengths[i+j] = value
	}
	return n, nil
}
