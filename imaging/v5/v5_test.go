package v5

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// pack compresses a stream.
func pack(t testing.TB, c Codec, stream []byte) []byte {
	t.Helper()
	switch c {
	case Zlib:
		var b bytes.Buffer
		z := zlib.NewWriter(&b)
		z.Write(stream)
		z.Close()
		return b.Bytes()
	case Zstd:
		z, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		half := len(stream) / 2
		return z.EncodeAll(stream[half:], z.EncodeAll(stream[:half], nil)) // two frames
	}
	return stream
}

// randomChunk is any chunk that can be, with the disk it makes: nil where it
// writes nothing.
func randomChunk(t testing.TB, r *rand.Rand) (Header, []byte, []byte) {
	t.Helper()
	h := Header{Codec: Codec(r.IntN(3)), SectorBytes: 512 << r.IntN(8), Index: r.IntN(1 << 30), ImageVersion: r.Uint32()}
	h.First = r.Uint64N(bytesMax/uint64(h.SectorBytes) - 1<<20)
	noise := rand.NewChaCha8([32]byte{byte(r.Uint32())})
	noise.Read(h.ImageID[:])
	noise.Read(h.State[:])
	if h.Delta = r.IntN(2) == 0; h.Delta {
		noise.Read(h.Base[:])
	}
	var stream, disk []byte
	at := h.First
	for range 1 + r.IntN(40) {
		x := Record{Kind: Kind(r.IntN(4)), Sectors: 1 + r.Uint64N(3)}
		n, size := len(h.Records), int(x.Sectors)*h.SectorBytes
		if n == 0 || len(stream) < size && x.Kind == Repeat {
			x.Kind = Data
		}
		if n > 0 && x.Kind != Repeat && h.Records[n-1].Kind == x.Kind || x.Kind == Data && len(stream)+size > PayloadBytesMax/2 {
			continue
		}
		data := make([]byte, size)
		switch x.Kind {
		case Free:
			data = bytes.Repeat([]byte{0xaa}, size)
		case Data:
			noise.Read(data[r.IntN(size):])
			stream = append(stream, data...)
		case Repeat:
			x.Source = r.Uint64N(uint64((len(stream)-size)/h.SectorBytes) + 1)
			copy(data, stream[int(x.Source)*h.SectorBytes:])
		}
		h.Records, disk, at = append(h.Records, x), append(disk, data...), at+x.Sectors
	}
	for range r.IntN(3) {
		per := uint64(h.SectorBytes / relocSectorBytes) // of the first record, which is data
		sector, offset := h.First*per+r.Uint64N(h.Records[0].Sectors*per), r.IntN(relocSectorBytes)
		h.Relocs = append(h.Relocs, Reloc{r.Uint32(), sector, uint16(offset), uint16(r.IntN(relocSectorBytes - offset + 1))})
	}
	h.Last, h.StreamBytes = at, len(stream)
	if r.IntN(2) == 0 { // others are as they were made before the end was told
		h.End = at + r.Uint64N(1000)
	}
	return h, stream, disk
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var d Decoder
	var chunk []byte
	for i := range 300 {
		h, stream, disk := randomChunk(t, r)
		payload := pack(t, h.Codec, stream)
		if len(stream) == 0 {
			h.Codec, payload = None, nil
		}
		var err error
		if chunk, err = h.Seal(chunk, payload); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		h.PayloadBytes = len(payload)
		got, err := d.Decode(chunk)
		if err != nil || !reflect.DeepEqual(*got, h) {
			t.Fatalf("%d: decoded %+v, %v\nwant %+v", i, got, err, h)
		}
		back := bytes.Repeat([]byte{0xaa}, len(disk))
		base, sum := int64(h.First)*int64(h.SectorBytes), int64(0)
		err = d.Runs(func(run Run) error {
			to := back[run.Offset-base:][:run.Bytes]
			if clear(to); run.Data != nil {
				copy(to, run.Data)
			}
			sum += run.Bytes
			return nil
		})
		if err != nil || !bytes.Equal(back, disk) || sum != h.RestoredBytes() {
			t.Fatalf("%d: restored data differs: %v", i, err)
		}
	}
}

// damage is a chunk with one thing wrong in it.
type damage struct {
	name   string
	change func(h *Header, chunk []byte)
	want   string
	offset int
}

func put16(at int, v uint16) func(*Header, []byte) {
	return func(_ *Header, b []byte) { binary.LittleEndian.PutUint16(b[at:], v) }
}

func put32(at int, v uint32) func(*Header, []byte) {
	return func(_ *Header, b []byte) { binary.LittleEndian.PutUint32(b[at:], v) }
}

func put64(at int, v uint64) func(*Header, []byte) {
	return func(_ *Header, b []byte) { binary.LittleEndian.PutUint64(b[at:], v) }
}

// table puts records in place of those of the example: two of data, one free,
// four zeros, one repeat, two free.
func table(b ...byte) func(*Header, []byte) {
	return func(_ *Header, chunk []byte) {
		clear(chunk[offTable:offEnd])
		copy(chunk[offTable:], b)
		binary.LittleEndian.PutUint16(chunk[offTableBytes:], uint16(len(b)))
		binary.LittleEndian.PutUint16(chunk[offRelocCount:], 0)
	}
}

func put8(at int, v byte) func(*Header, []byte) { return func(_ *Header, b []byte) { b[at] = v } }

// damages has every field of the head, with sums made right again.
func damages() []damage {
	const first = offTable // of the records
	return []damage{
		{"magic of V1", put32(offMagic, 0x69696969), "not a V5 chunk", offMagic},
		{"unknown flag", put16(offFlags, 0x8001), "update it", offFlags},
		{"base without delta", put16(offFlags, flagEnd), "a base without delta", offFlags},
		{"delta without base", func(_ *Header, b []byte) { clear(b[offBase:offState]) }, "a delta without base", offFlags},
		{"codec", put8(offCodec, 3), "codec 3 is newer than this program", offCodec},
		{"another codec", put8(offCodec, byte(Zstd)), "zstd payload", HeadBytes},
		{"another codec, zlib", put8(offCodec, byte(Zlib)), "zlib payload", HeadBytes},
		{"small sector", put8(offShift, 8), "sectors of 2^8", offShift},
		{"large sector", put8(offShift, 17), "sectors of 2^17", offShift},
		{"other sector", put8(offShift, 12), "not whole sectors", offStream},
		{"payload too long", put32(offPayload, PayloadBytesMax+1), "payload of", offPayload},
		{"payload huge", put32(offPayload, 1<<31), "payload of", offPayload},
		{"payload other than stream", put32(offPayload, 512), "without compression", offPayload},
		{"stream too long", put32(offStream, StreamBytesMax+512), "stream of", offStream},
		{"stream huge", put32(offStream, 1<<32-512), "stream of", offStream},
		{"stream not sectors", put32(offStream, 1025), "not whole sectors", offStream},
		{"first after last", put64(offFirst, 11), "covers sectors", offFirst},
		{"nothing covered", put64(offFirst, 10), "covers sectors", offFirst},
		{"last too far", put64(offLast, 1<<60), "covers sectors", offFirst},
		{"last huge", put64(offLast, 1<<64-1), "covers sectors", offFirst},
		{"last after the end", put64(offLast, 11), "image ends at sector 10, the chunk at 11", offEnd},
		{"end huge", put64(offEnd, 1<<63), "image ends at sector", offEnd},
		{"last later", func(h *Header, b []byte) { put64(offLast, 11)(h, b); put64(offEnd, 11)(h, b) }, "records end at sector 10, the chunk at 11", first + 6},
		{"last earlier", put64(offLast, 9), "record 4 of 2 sectors", first + 5},
		{"records too long", put16(offTableBytes, TableBytesMax+1), "do not fit", offTableBytes},
		{"records cut short", put16(offTableBytes, 4), "cut short", first + 3},
		{"too many relocations", put16(offRelocCount, 300), "do not fit", offTableBytes},
		{"relocation dropped", put16(offRelocCount, 0), "not zero", first + 6 + 8 - 8},
		{"junk after tables", put8(offEnd-1, 1), "not zero", offEnd - 1},
		{"junk where an end may be", func(_ *Header, b []byte) { b[offFlags] &^= flagEnd }, "not zero", offEnd},
		{"end nowhere", put64(offEnd, 0), "image ends at sector 0", offEnd},
		{"no record", table(), "records end at sector 0", first},
		{"empty record", table(0), "record 0 of 0 sectors", first},
		{"longest record", table(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0), "record 0 of", first},
		{"record of 65 bits", table(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3), "shortest form", first},
		{"record with spare byte", table(2<<2|1|0x80, 0), "shortest form", first},
		{"same kind twice", table(1<<2|1, 1<<2|1, 8<<2), "goes on like the one before", first + 1},
		{"all free", table(10 << 2), "nothing in the chunk is in use", offTable},
		{"stream not used up", table(1<<2|1, 9<<2), "the records use 512", offStream},
		{"stream read beyond", table(3<<2|1, 7<<2), "beyond the stream", first},
		{"repeat of what comes later", table(1<<2|1, 1<<2|3, 1, 1<<2|1, 7<<2), "repeats sectors [1,+1) of a stream of 1", first + 1},
		{"repeat too long", table(1<<2|1, 2<<2|3, 0, 1<<2|1, 6<<2), "repeats sectors [0,+2) of a stream of 1", first + 1},
		{"relocation of a free sector", put64(first+6, 2), "relocation 0 of 276 bytes at byte 0 of sector 2 is not inside one record of data", first + 6},
		{"relocation of zeros", put64(first+6, 3), "relocation 0", first + 6},
		{"relocation of a repeat", put64(first+6, 7), "relocation 0", first + 6},
		{"relocation beyond its record", put16(first+6+12, 300), "relocation 0 of 276 bytes at byte 300 of sector 1", first + 6},
		{"relocation beyond the chunk", put64(first+6, 10), "relocation 0", first + 6},
		{"relocation at the last sector of all", put64(first+6, 1<<64-1), "relocation 0", first + 6},
		{"relocation whose byte wraps", put64(first+6, 1<<55+1), "relocation 0", first + 6},
		{"repeat without source", table(2<<2|1, 1<<2|3), "cut short", first + 1},
	}
}

// TestMalformed damages every field; the error says where, and nothing is
// handed out.
func TestMalformed(t *testing.T) {
	t.Parallel()
	h := exampleHeader()
	good, err := h.Seal(nil, exampleStream())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range damages() {
		chunk := bytes.Clone(good)
		c.change(&h, chunk)
		reseal(chunk)
		checkFault(t, c.name, chunk, c.want, c.offset)
	}
}

func reseal(chunk []byte) {
	binary.LittleEndian.PutUint32(chunk[offHeadSum:], headSum(chunk))
	sum := chunkSum(chunk)
	copy(chunk[offSum:], sum[:])
}

func checkFault(t *testing.T, name string, chunk []byte, want string, offset int) {
	t.Helper()
	var d Decoder
	_, err := d.Decode(chunk)
	var f *Fault
	if !errors.As(err, &f) || !strings.Contains(err.Error(), want) || f.Offset != offset {
		t.Errorf("%s: error %v, want %q at offset %d", name, err, want, offset)
	}
	if d.Runs(func(Run) error { return nil }) == nil {
		t.Errorf("%s: hands out data", name)
	}
}

// TestDamaged flips bits without making the sums right.
func TestDamaged(t *testing.T) {
	t.Parallel()
	h := exampleHeader()
	good, err := h.Seal(nil, exampleStream())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ at, offset int }{
		{offFlags, offHeadSum}, {offHeadSum, offHeadSum}, {offBase, offHeadSum}, {HeadBytes - 1, offHeadSum},
		{offSum, offSum}, {offSum + 31, offSum}, {HeadBytes, offSum}, {HeadBytes + 1024, offSum}, {ChunkBytes - 1, offSum},
	} {
		chunk := bytes.Clone(good)
		chunk[c.at] ^= 4
		checkFault(t, fmt.Sprint("byte ", c.at), chunk, "damaged", c.offset)
	}
	checkFault(t, "cut short", good[:5000], "partial chunk of 5000 bytes", 5000)
	checkFault(t, "cut in the head", good[:100], "ends inside a chunk header", 100)
}

// TestBombs has payloads that do not come to the length of the stream.
func TestBombs(t *testing.T) {
	t.Parallel()
	for _, codec := range []Codec{Zstd, Zlib} {
		h := Header{Codec: codec, SectorBytes: 512, StreamBytes: 1024, Last: 2, Records: []Record{{Data, 2, 0}}}
		for name, payload := range map[string][]byte{
			"bomb":      pack(t, codec, make([]byte, 64<<20)),
			"one more":  pack(t, codec, make([]byte, 1025)),
			"one less":  pack(t, codec, make([]byte, 1023)),
			"nothing":   nil,
			"junk":      bytes.Repeat([]byte{0x5a}, 1000),
			"junk last": append(pack(t, codec, make([]byte, 1024)), 0x5a),
			"cut":       pack(t, codec, exampleStream())[:20],
		} {
			chunk, err := h.Seal(nil, payload)
			if err != nil {
				t.Fatal(err)
			}
			checkFault(t, codec.String()+" "+name, chunk, "payload", HeadBytes)
		}
	}
	h := Header{SectorBytes: 512, Last: RestoredBytesMax/512 + 1, Records: []Record{{Zeros, RestoredBytesMax/512 + 1, 0}}}
	if _, err := h.Seal(nil, nil); err == nil || !strings.Contains(err.Error(), "beyond") {
		t.Errorf("chunk of more than %d bytes: %v", RestoredBytesMax, err)
	}
}

func TestSealRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Header){
		"codec":      func(h *Header) { h.Codec = 9 },
		"sector":     func(h *Header) { h.SectorBytes = 513 },
		"index":      func(h *Header) { h.Index = -1 },
		"stream":     func(h *Header) { h.StreamBytes = StreamBytesMax + 512 },
		"relocs":     func(h *Header) { h.Relocs = make([]Reloc, TableBytesMax/RelocBytes+1) },
		"no records": func(h *Header) { h.Records = nil },
		"no base":    func(h *Header) { h.Delta = false },
	} {
		h := exampleHeader()
		change(&h)
		if _, err := h.Seal(nil, exampleStream()); err == nil {
			t.Errorf("%s: is written", name)
		}
	}
	h := exampleHeader()
	if _, err := h.Seal(nil, make([]byte, PayloadBytesMax+1)); err == nil {
		t.Error("payload too long: is written")
	}
}

func BenchmarkDecode(b *testing.B) {
	stream := make([]byte, 4<<20)
	rand.NewChaCha8([32]byte{}).Read(stream[:900<<10])
	h := Header{Codec: Zstd, SectorBytes: 512, StreamBytes: len(stream), Last: 8192, Records: []Record{{Data, 8192, 0}}}
	chunk, err := h.Seal(nil, pack(b, Zstd, stream))
	if err != nil {
		b.Fatal(err)
	}
	var d Decoder
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(chunk); err != nil {
			b.Fatal(err)
		}
	}
}
