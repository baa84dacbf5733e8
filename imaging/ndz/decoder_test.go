package ndz

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// deflated is a zlib stream of data.
func deflated(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// seal makes a chunk of data, which the regions divide.
func seal(t *testing.T, opts SealOptions, h Header, data []byte) []byte {
	t.Helper()
	s, err := NewSealer(opts)
	if err != nil {
		t.Fatal(err)
	}
	chunk, err := s.Seal(h, deflated(t, data))
	if err != nil {
		t.Fatal(err)
	}
	return chunk
}

func decodeAll(t *testing.T, opts DecodeOptions, chunk []byte, size int) ([]byte, error) {
	t.Helper()
	d, err := NewDecoder(opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Decode(chunk); err != nil {
		return nil, err
	}
	disk := make([]byte, size)
	err = d.Emit(func(offset int64, data []byte) error {
		copy(disk[offset:], data)
		return nil
	})
	return disk, err
}

// TestLargeChunk decodes a chunk with more data than a Decoder holds, with
// relocated data that later data repeats: the repetition must be of the data
// as it was stored.
func TestLargeChunk(t *testing.T) {
	t.Parallel()
	const sectors = 5 * DataBufferBytesMax / 2 / SectorBytes
	data := make([]byte, sectors*SectorBytes)
	r := rand.New(rand.NewPCG(1, 1))
	for at := 0; at < len(data); at += 1 << 16 {
		for i := range 2000 {
			data[at+i] = byte(r.IntN(4))
		}
	}
	address := []byte{1, 2, liloFlagLBA32 | liloFlagTopByte, 3, 4}
	var relocs []Reloc
	want := bytes.Clone(data)
	moved := []byte{2, 2, liloFlagLBA32 | liloFlagTopByte, 3, 5}
	for _, at := range []int{0, DataBufferBytesMax - 3*SectorBytes, DataBufferBytesMax - 512, DataBufferBytesMax, len(data) - 512} {
		relocs = append(relocs, Reloc{RelocLILOAddress, uint64(at / SectorBytes), at % SectorBytes, LILOAddressBytes})
		copy(data[at:], address)
		copy(want[at:], moved)
		if again := at + 20000; again < len(data) {
			copy(data[again-100:], data[at-min(at, 100):at+100])
			copy(want[again-100:], data[at-min(at, 100):at+100])
		}
	}
	h := Header{Last: sectors, Regions: []Region{{0, sectors}}, Relocs: relocs}
	chunk := seal(t, SealOptions{Version: V3}, h, data)
	got, err := decodeAll(t, DecodeOptions{Placement: Placement{Start: 1<<24 + 1, Size: sectors}}, chunk, len(data))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("wrong data")
	}
}

// TestSecurity checks what is refused for want of a key, a sum or an id.
func TestSecurity(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), 64)
	key := bytes.Repeat([]byte{3}, KeyBytes)
	id, other := ImageID{1}, ImageID{2}
	full := SealOptions{Version: V4, ImageID: &id, Key: key, Checksum: true}
	plain := SealOptions{Version: V3}
	for _, c := range []struct {
		name   string
		seal   SealOptions
		opts   DecodeOptions
		damage int // offset of a byte to change, or 0
		want   string
	}{
		{"all right", full, DecodeOptions{ImageID: &id, Key: key, Checksum: true}, 0, ""},
		{"sum not asked for", full, DecodeOptions{Key: key}, 0, ""},
		{"no key", full, DecodeOptions{}, 0, "payload is encrypted; give the key"},
		{"other image", full, DecodeOptions{ImageID: &other, Key: key}, 0, "chunk of another image"},
		{"payload changed", full, DecodeOptions{Key: key, Checksum: true}, HeaderAreaBytes, "checksum"},
		{"header padding changed", full, DecodeOptions{Key: key, Checksum: true}, HeaderAreaBytes - 1, "checksum"},
		{"padding is not summed", full, DecodeOptions{Key: key, Checksum: true}, ChunkBytes - 1, ""},
		{"no sum to verify", plain, DecodeOptions{Checksum: true}, 0, "chunk has no checksum"},
		{"key for a plain chunk", plain, DecodeOptions{Key: key}, 0, "not encrypted"},
		{"id of an old version", plain, DecodeOptions{ImageID: &id}, 0, "V3 has none"},
	} {
		chunk := seal(t, c.seal, Header{Last: 2, Regions: []Region{{0, 2}}}, data)
		if c.damage > 0 {
			chunk[c.damage] ^= 1
		}
		got, err := decodeAll(t, c.opts, chunk, len(data))
		switch {
		case c.want == "" && (err != nil || !bytes.Equal(got, data)):
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// TestWrongKey tries keys that are not the image's. One in 32 leaves padding
// that is well formed, so what refuses the chunk may also be the inflater; the
// data never comes out.
func TestWrongKey(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), 64)
	chunk := seal(t, SealOptions{Version: V4, Key: bytes.Repeat([]byte{3}, KeyBytes), Checksum: true}, Header{Last: 2, Regions: []Region{{0, 2}}}, data)
	const keys = 64
	named := 0
	for i := range keys {
		got, err := decodeAll(t, DecodeOptions{Key: bytes.Repeat([]byte{byte(4 + i)}, KeyBytes)}, chunk, len(data))
		switch {
		case err == nil && bytes.Equal(got, data):
			t.Errorf("key %d decrypts it", i)
		case err != nil && strings.Contains(err.Error(), "wrong key?"):
			named++
		}
	}
	if named < keys/2 {
		t.Errorf("%d of %d wrong keys are called that", named, keys)
	}
}

// TestBlowfish checks the cipher against Schneier's published vectors' method:
// the tables are the digits of pi, and decryption undoes encryption.
func TestBlowfish(t *testing.T) {
	t.Parallel()
	words := piWords()
	for i, want := range map[int]uint32{0: 0x243f6a88, 17: 0x8979fb1b, 18: 0xd1310ba6, 18 + 1023: 0x3ac372e6} {
		if words[i] != want {
			t.Errorf("word %d of pi is %#08x, want %#08x", i, words[i], want)
		}
	}
	c, err := newBlowfish(bytes.Repeat([]byte{0x5a}, KeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	var b [8]byte
	for i := range 100 {
		b[i%8] += byte(i)
		in := b
		c.Encrypt(b[:], b[:])
		out := b
		c.Decrypt(out[:], out[:])
		if out != in || b == in {
			t.Fatalf("block %x came back as %x", in, out)
		}
	}
}

// TestCutReloc decodes chunks whose relocations need data that is in another
// chunk, or in none: they are refused before anything is handed out, unless the
// data is to be as it is stored.
func TestCutReloc(t *testing.T) {
	t.Parallel()
	const after = LILODescriptorsBytes // where the sum follows its table
	for _, c := range []struct {
		name  string
		first uint64 // sector the chunk's data begins with
		reloc Reloc
		fault string // "": none
	}{
		{"table in the chunk", 100, Reloc{RelocLILOChecksum, 101, after - 512, 2}, ""},
		{"table begins in the chunk before", 100, Reloc{RelocLILOChecksum, 100, after - 512, 2}, "relocation 0 at sector 100: changes bytes outside of its region [100,104)"},
		{"table ends in the chunk after", 100, Reloc{RelocLILOChecksum, 103, 512, 2}, "relocation 0 at sector 103: changes bytes outside"},
		{"address in the last bytes", 100, Reloc{RelocLILOAddress, 103, 507, 5}, ""},
		{"address over the border", 100, Reloc{RelocLILOAddress, 103, 510, 5}, "relocation 0 at sector 103: changes bytes outside"},
		{"sector of the chunk before", 100, Reloc{RelocLILOMapSector, 99, 0, 512}, "relocation 0 at sector 99: is of another chunk: this one covers [100,104)"},
		{"sector of the chunk after", 100, Reloc{RelocLILOMapSector, 104, 0, 512}, "is of another chunk"},
	} {
		h := Header{Index: 1, First: c.first, Last: c.first + 4, Regions: []Region{{c.first, 4}}, Relocs: []Reloc{c.reloc}}
		chunk := seal(t, SealOptions{Version: V3}, h, make([]byte, 4*SectorBytes))
		_, err := decodeAll(t, DecodeOptions{}, chunk, 104*SectorBytes)
		if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, want %q", c.name, err, c.fault)
		}
		if _, err := decodeAll(t, DecodeOptions{AsStored: true}, chunk, 104*SectorBytes); err != nil {
			t.Errorf("%s, as stored: %v", c.name, err)
		}
		if _, err := decodeAll(t, DecodeOptions{AsStored: true, Relocatable: true}, chunk, 104*SectorBytes); (err == nil) != (c.fault == "") {
			t.Errorf("%s, as stored and relocatable: %v, want %q", c.name, err, c.fault)
		}
	}
}

// TestLabel relocates a disklabel; the sum over the whole label is then zero.
func TestLabel(t *testing.T) {
	t.Parallel()
	entry := func(label []byte, i int, size, offset uint32) {
		put32(label[labelHeadBytes+i*labelEntryBytes:], size)
		put32(label[labelHeadBytes+i*labelEntryBytes+4:], offset)
	}
	make1 := func() []byte {
		label := make([]byte, SectorBytes)
		put32(label, labelMagic)
		put32(label[labelOffMagic2:], labelMagic)
		label[labelOffCount] = 8
		entry(label, 0, 100, 16)
		entry(label, 1, 1000, 600) // too long for the slice
		entry(label, 2, 5, 0)
		return label
	}
	want := map[RelocType][3][2]uint32{
		RelocFreeBSDLabel: {{100, 1016}, {400, 1600}, {1000, 1000}},
		RelocOpenBSDLabel: {{100, 1016}, {400, 1600}, {5, 0}},
	}
	for kind, parts := range want {
		label := make1()
		if err := (Reloc{Type: kind}).apply(label, Placement{Start: 1000, Size: 1000}); err != nil {
			t.Fatal(err)
		}
		for i, p := range parts {
			at := labelHeadBytes + i*labelEntryBytes
			if got := [2]uint32{u32(label, at), u32(label, at+4)}; got != p {
				t.Errorf("type %d, partition %d: size, offset %v, want %v", kind, i, got, p)
			}
		}
		var sum uint16
		for i := 0; i < labelHeadBytes+8*labelEntryBytes; i += 2 {
			sum ^= uint16(label[i]) | uint16(label[i+1])<<8
		}
		if sum != 0 {
			t.Errorf("type %d: sum is off by %#x", kind, sum)
		}
	}
	label := make1()
	label[0]++
	if err := (Reloc{Type: RelocFreeBSDLabel}).apply(label, Placement{Start: 1, Size: 1}); err == nil {
		t.Error("a sector without label passes")
	}
}

func put32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}

// TestHeaderErrors checks that faults name the place.
func TestHeaderErrors(t *testing.T) {
	t.Parallel()
	good := seal(t, SealOptions{Version: V3}, Header{Last: 8, Regions: []Region{{0, 1}, {3, 1}}}, make([]byte, 1024))
	for _, c := range []struct {
		offset int
		value  uint32
		want   int
	}{
		{offMagic, 0x12345678, offMagic},
		{offSize, PayloadBytesMax + 1, offSize},
		{offRegionCount, 508, offRegionCount},
		{offRelocCount, 0xffffffff, offRelocCount},
		{offFirst, 1, headerBytesV2},
		{offFirst, 9, headerBytesV2}, // after the last
		{offFirst, 0xffffffff, headerBytesV2},
		{offLast, 3, headerBytesV2 + RegionBytes},
		{headerBytesV2 + 4, 0, headerBytesV2},
		{headerBytesV2 + 4, 4, headerBytesV2 + RegionBytes},
		{headerBytesV2 + 4, 1 << 31, headerBytesV2},
	} {
		chunk := bytes.Clone(good)
		put32(chunk[c.offset:], c.value)
		_, err := ParseHeader(chunk)
		var f *FormatError
		if !errors.As(err, &f) || f.Offset != c.want {
			t.Errorf("%#x at %d: %v, want a fault at %d", c.value, c.offset, err, c.want)
		}
		if err != nil && !strings.HasPrefix(InChunk(err, 7).Error(), "chunk 7, offset ") {
			t.Errorf("error %q does not name the chunk", InChunk(err, 7))
		}
	}
}

// TestShortSector refuses lengths of a last sector that none can have, before
// anything goes by the length of the image.
func TestShortSector(t *testing.T) {
	t.Parallel()
	h := Header{Last: 8, Regions: []Region{{0, 2}, {4, 4}}, Relocs: []Reloc{{RelocShortSector, 7, 0, 100}}}
	good := seal(t, SealOptions{Version: V3}, h, make([]byte, 6*SectorBytes))
	clear(good[offHeadSum:offMark])
	const at = headerBytesV2 + 2*RegionBytes
	if h, err := ParseHeader(good); err != nil || h.EndBytes() != 7*SectorBytes+100 {
		t.Fatalf("%+v, %v", h, err)
	}
	for field, values := range map[int][]uint32{4: {0, 3, 6, 8, 1<<32 - 1}, 8: {1, 1<<32 - 1}, 12: {0, 512, 1<<31 - 1, 1 << 31, 1<<32 - 1}} {
		for _, v := range values {
			chunk := bytes.Clone(good)
			put32(chunk[at+field:], v)
			_, err := ParseHeader(chunk)
			var f *FormatError
			if wanted := field == 4 && v == 1; !wanted && (!errors.As(err, &f) || f.Offset != at) {
				t.Errorf("%#x at %d of the relocation: %v", v, field, err)
			}
		}
	}
}

// TestUnknownKinds refuses ciphers and checksums that nobody knows.
func TestUnknownKinds(t *testing.T) {
	t.Parallel()
	good := seal(t, SealOptions{Version: V4}, Header{Last: 8, Regions: []Region{{0, 1}}}, make([]byte, 512))
	for _, c := range []struct {
		offset int
		value  uint16
	}{{offCipher, 2}, {offCipher, 0xffff}, {offChecksum, 2}, {offChecksum, 0x8000}, {offChecksum, 0x8002}} {
		chunk := bytes.Clone(good)
		binary.LittleEndian.PutUint16(chunk[c.offset:], c.value)
		_, err := ParseHeader(chunk)
		var f *FormatError
		if !errors.As(err, &f) || f.Offset != c.offset {
			t.Errorf("%#x at %d: %v", c.value, c.offset, err)
		}
	}
}

// TestKeys reads and refuses key files.
func TestKeys(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256(nil)
	if key, err := ParseKey([]byte(hex.EncodeToString(sum[:]) + "\n")); err != nil || !bytes.Equal(key, sum[:]) {
		t.Errorf("key %x, %v", key, err)
	}
	for _, text := range []string{"", "abcd", strings.Repeat("zz", KeyBytes)} {
		if _, err := ParseKey([]byte(text)); err == nil {
			t.Errorf("key %q passes", text)
		}
	}
	for _, text := range []string{"", "1\n2\n3\n4\n", "1\n2\n3\n4\nx\n", strings.Repeat("F", 129) + "\n11\n1\n1\n1\n"} {
		if _, err := ParseSigningKey([]byte(text)); err == nil {
			t.Errorf("signing key %q passes", text)
		}
	}
}
