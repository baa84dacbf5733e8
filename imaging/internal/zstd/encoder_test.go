package zstd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// samples are data that take different paths through the encoder.
func samples() map[string][]byte {
	r := rand.New(rand.NewChaCha8([32]byte{7}))
	noise := make([]byte, 2*BlockBytesMax)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var words, far, mixed bytes.Buffer
	for words.Len() < 3*BlockBytesMax {
		fmt.Fprintf(&words, "%s %d;", strings.Repeat("ab", r.IntN(5)), r.IntN(1000))
	}
	for _, distance := range []int{1, 2, 3, 4, 8, 65535, 65536, len(noise)} {
		far.Write(noise[:distance])
		far.Write(noise[:min(300, distance)])
	}
	for i := range 90 {
		mixed.Write(noise[i*1000:][:r.IntN(3000)])
		mixed.Write(words.Bytes()[i*900:][:r.IntN(9000)])
		mixed.Write(make([]byte, r.IntN(20_000)))
	}
	values := func(n byte) []byte {
		v := bytes.Clone(noise)
		for i := range v {
			v[i] %= n
		}
		return v
	}
	return map[string][]byte{
		"nothing": {}, "a byte": {1}, "three bytes": []byte("aaa"), "ten": []byte("0123401234"), "zeros": make([]byte, 5*BlockBytesMax),
		"noise": noise, "words": words.Bytes(), "far": far.Bytes(), "mixed": mixed.Bytes(), "twice": append(bytes.Clone(noise), noise...),
		"two values": values(2), "skewed": values(130), "few": words.Bytes()[:90], "fours": fours(r), "sequences": sequences(r),
	}
}

// fours is as many short matches as there can be.
func fours(r *rand.Rand) []byte {
	var out []byte
	for len(out) < 2*BlockBytesMax {
		n := r.Uint32N(300)
		out = append(out, byte(n), byte(n>>8), 'x', 'y')
	}
	return out
}

// sequences is matches of all lengths after literals of all lengths, of which
// some are long.
func sequences(r *rand.Rand) []byte {
	out := make([]byte, 100)
	long := func() int { return r.IntN(1 << r.IntN(18)) }
	for len(out) < 20*BlockBytesMax {
		for range long() / 2 {
			out = append(out, byte(r.Uint32()))
		}
		from := r.IntN(len(out))
		out = append(out, out[from:min(len(out), from+long())]...)
	}
	return out
}

// press is a Finder and an Encoder, one after the other.
type press struct {
	*Finder
	*Encoder
	m *Matches
}

func newPress() press { return press{NewFinder(), NewEncoder(), &Matches{}} }

func (p press) reset() {
	p.Finder.Reset()
	p.Encoder.Reset()
}

// append appends data[from:to] in blocks.
func (p press) append(out, data []byte, from, to int) []byte {
	for ; from < to; from += BlockBytesMax {
		end := min(from+BlockBytesMax, to)
		p.Find(p.m, data, from, end)
		out = p.Append(out, data, p.m, from, end)
	}
	return out
}

// pack compresses data in parts of size bytes.
func (p press) pack(data []byte, size int) []byte {
	p.reset()
	out := AppendHead(nil)
	for at := 0; at < len(data); at += size {
		out = p.append(out, data, at, min(at+size, len(data)))
	}
	return AppendEnd(out)
}

// unpacker decodes frames of at most size bytes.
func unpacker(t testing.TB) func(packed []byte, size int) ([]byte, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return func(packed []byte, size int) ([]byte, error) { return d.DecodeAll(packed, make([]byte, 0, size)) }
}

// TestRoundTrip decodes what is made of all kinds of data, cut into parts of all
// sizes, with an encoder that was used for something else before, and holds the
// bytes against those of a fresh one.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	used, unpack := newPress(), unpacker(t)
	used.append(nil, []byte(strings.Repeat("something else", 1000)), 0, 14_000)
	for name, data := range samples() {
		for _, size := range []int{1, 4096, 100_000, 1 << 20} {
			if size == 1 && len(data) > 1000 {
				continue
			}
			packed := used.pack(data, size)
			if back, err := unpack(packed, len(data)); err != nil || !bytes.Equal(back, data) {
				t.Errorf("%s in parts of %d does not come back: %v", name, size, err)
			}
			if !bytes.Equal(packed, newPress().pack(data, size)) {
				t.Errorf("%s in parts of %d: another image from a used encoder", name, size)
			}
			if most := len(data) + (len(data)/min(size, BlockBytesMax)+2)*blockHeadBytes + 9; len(packed) > most {
				t.Errorf("%s in parts of %d: %d bytes become %d", name, size, len(data), len(packed))
			}
		}
	}
}

// TestSize holds sizes against those of the general encoder.
func TestSize(t *testing.T) {
	t.Parallel()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false), zstd.WithAllLitEntropyCompression(true))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for name, data := range samples() {
		ours, theirs := len(newPress().pack(data, 1<<20)), len(z.EncodeAll(data, nil))
		if ours > theirs+theirs/20+20 {
			t.Errorf("%s: %d bytes, the general encoder makes %d", name, ours, theirs)
		}
	}
}

// TestBounds compresses data up to the very end of its memory.
func TestBounds(t *testing.T) {
	t.Parallel()
	data := samples()["mixed"]
	e, unpack := newPress(), unpacker(t)
	for n := range 300 {
		part := data[len(data)-n:]
		if back, err := unpack(e.pack(part, 1<<20), len(part)); err != nil || !bytes.Equal(back, part) {
			t.Fatalf("the last %d bytes do not come back: %v", n, err)
		}
	}
}

// TestParts codes matches in parts of all sizes, of which some are coded and
// taken back before.
func TestParts(t *testing.T) {
	t.Parallel()
	e, unpack := newPress(), unpacker(t)
	for name, data := range samples() {
		e.reset()
		out := AppendHead(nil)
		size := 1
		for from := 0; from < len(data); from += BlockBytesMax {
			to := min(len(data), from+BlockBytesMax)
			e.Find(e.m, data, from, to)
			for at := from; at < to; size = size*7%100_003 + 1 {
				before := e.State()
				e.Append(nil, data, e.m, at, to)
				e.Rewind(before)
				end := min(to, at+size)
				out = e.Append(out, data, e.m, at, end)
				at = end
			}
		}
		if back, err := unpack(AppendEnd(out), len(data)); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%s does not come back: %v", name, err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, data := range samples() {
		if len(data) < BlockBytesMax {
			continue
		}
		b.Run(name, func(b *testing.B) {
			e := newPress()
			out := make([]byte, 0, 2*len(data)+1<<20)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				e.reset()
				out = e.append(out[:0], data, 0, len(data))
			}
		})
	}
}

// FuzzRoundTrip decodes what is made of any data, searched in parts of one size
// and coded in parts of another.
func FuzzRoundTrip(f *testing.F) {
	for _, data := range samples() {
		f.Add(data[:min(len(data), 5000)], uint16(1000), uint16(300))
	}
	e, unpack := newPress(), unpacker(f)
	f.Fuzz(func(t *testing.T, data []byte, search, code uint16) {
		e.reset()
		out := AppendHead(nil)
		for from := 0; from < len(data); {
			to := min(len(data), from+int(search)+1)
			e.Find(e.m, data, from, to)
			for from < to {
				end := min(to, from+int(code)+1)
				out = e.Append(out, data, e.m, from, end)
				from = end
			}
		}
		if back, err := unpack(AppendEnd(out), len(data)); err != nil || !bytes.Equal(back, data) {
			t.Errorf("does not come back: %v", err)
		}
	})
}
