package deflate

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// kinds are data that take different paths through an encoder.
func kinds() map[string][]byte {
	r := rand.New(rand.NewChaCha8([32]byte{7}))
	noise := make([]byte, 90_000)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var words, far, mixed bytes.Buffer
	for words.Len() < 400_000 {
		fmt.Fprintf(&words, "%s %d;", strings.Repeat("ab", r.IntN(5)), r.IntN(1000))
	}
	for _, distance := range []int{1, 2, 3, windowBytes - 1, windowBytes, windowBytes + 1} {
		far.Write(noise[:distance])
		far.Write(noise[:min(300, distance)])
	}
	for i := range 40 {
		mixed.Write(noise[i*1000:][:r.IntN(3000)])
		mixed.Write(words.Bytes()[i*900:][:r.IntN(9000)])
		mixed.Write(make([]byte, r.IntN(20_000)))
	}
	return map[string][]byte{
		"nothing": {}, "a byte": {1}, "three bytes": []byte("aaa"), "ten": []byte("0123401234"), "zeros": make([]byte, 700_000),
		"noise": noise, "words": words.Bytes(), "far": far.Bytes(), "mixed": mixed.Bytes(),
		"two values": bytes.Map(func(r rune) rune { return 'a' + r&1 }, []byte(fmt.Sprintf("%x", noise))),
	}
}

// pack compresses data in pieces of size bytes.
func pack(e *Encoder, data []byte, size int) []byte {
	var out []byte
	e.Reset()
	for at := 0; at < len(data); at += size {
		out = e.Append(out, data, at, min(at+size, len(data)))
	}
	return out
}

// unpack ends the stream with an empty block and decodes it.
func unpack(packed []byte) ([]byte, error) {
	return io.ReadAll(flate.NewReader(bytes.NewReader(append(bytes.Clone(packed), 3, 0))))
}

// TestRoundTrip decodes what each level makes of all kinds of data, cut into
// pieces of all sizes, with an encoder that was used for something else before.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for level := range LevelMax + 1 {
		t.Run(fmt.Sprint(level), func(t *testing.T) {
			t.Parallel()
			used, err := New(level)
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range kinds() {
				for _, size := range []int{37, 512, 65024, 1 << 20} {
					if size == 37 && len(data) > 10_000 {
						data = data[:10_000]
					}
					packed := pack(used, data, size)
					got, err := unpack(packed)
					if err != nil || !bytes.Equal(got, data) {
						t.Fatalf("%s in pieces of %d: %d bytes of %d, %v", name, size, len(got), len(data), err)
					}
					fresh, _ := New(level)
					if !bytes.Equal(pack(fresh, data, size), packed) {
						t.Errorf("%s in pieces of %d: depends on what was compressed before", name, size)
					}
				}
			}
		})
	}
}

// TestBegin compresses pieces by themselves, the last one first, and decodes
// them as one; matches in what is before a piece make it smaller.
func TestBegin(t *testing.T) {
	t.Parallel()
	for level := 1; level <= LevelMax; level++ {
		e, err := New(level)
		if err != nil {
			t.Fatal(err)
		}
		for name, data := range kinds() {
			for _, size := range []int{100, 4096, 70_000} {
				data := data[:min(len(data), 12*size)]
				var packed []byte
				for at := (len(data) - 1) / size * size; at >= 0 && len(data) > 0; at -= size {
					end := min(at+size, len(data))
					e.Begin(data[:end], at)
					packed = append(e.Append(nil, data[:end], at, end), packed...)
				}
				if got, err := unpack(packed); err != nil || !bytes.Equal(got, data) {
					t.Fatalf("level %d, %s in pieces of %d: %d bytes of %d, %v", level, name, size, len(got), len(data), err)
				}
				if all := pack(e, data, size); len(packed) > len(all)+len(all)/8+200 {
					t.Errorf("level %d, %s in pieces of %d: %d bytes, one after the other %d", level, name, size, len(packed), len(all))
				}
			}
		}
	}
}

// TestSize holds the levels against the library's at what they must reach, and
// against each other.
func TestSize(t *testing.T) {
	t.Parallel()
	data := kinds()["words"]
	var library bytes.Buffer
	z, _ := flate.NewWriter(&library, 6)
	z.Write(data)
	z.Close()
	last := len(data) + 100
	for _, level := range []int{0, 1, 4, 7, 9} {
		e, _ := New(level)
		n := len(pack(e, data, 65024))
		if n > last {
			t.Errorf("level %d makes %d bytes, more than the %d of the one before", level, n, last)
		}
		if last = n; level >= 4 && n > library.Len()*103/100 {
			t.Errorf("level %d makes %d bytes, the library's 6 %d", level, n, library.Len())
		}
	}
	e, _ := New(9)
	if n := len(pack(e, kinds()["zeros"], 65024)); n > 1500 {
		t.Errorf("700 kB of zeros take %d bytes", n)
	}
	noise := kinds()["noise"]
	if n := len(pack(e, noise, 65024)); n > len(noise)+50 {
		t.Errorf("%d bytes that cannot be compressed take %d", len(noise), n)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for _, level := range []int{-1, LevelMax + 1} {
		if _, err := New(level); err == nil {
			t.Errorf("level %d is no error", level)
		}
	}
}

// TestLongCodes makes counts whose Huffman tree is deeper than codes may be.
func TestLongCodes(t *testing.T) {
	t.Parallel()
	counts := make([]uint32, litSymbols)
	a, b := uint32(1), uint32(1)
	for i := range 28 { // as Fibonacci numbers, the worst case
		counts[i*10] = a
		a, b = b, a+b
	}
	lengths := make([]uint8, litSymbols)
	codeLengths(counts, lengths, litCodeBitsMax)
	sum := 0
	for i, n := range lengths {
		if (n > 0) != (counts[i] > 0) || n > litCodeBitsMax {
			t.Fatalf("symbol %d, which occurs %d times, has a code of %d bits", i, counts[i], n)
		}
		if n > 0 {
			sum += 1 << (litCodeBitsMax - n)
		}
	}
	if sum != 1<<litCodeBitsMax {
		t.Errorf("code is not complete: %d of %d", sum, 1<<litCodeBitsMax)
	}
}

// FuzzAppend compresses what it is given twice over.
func FuzzAppend(f *testing.F) {
	for _, data := range kinds() {
		f.Add(data[:min(len(data), 5000)], uint8(4), uint16(600))
	}
	f.Fuzz(func(t *testing.T, data []byte, level uint8, size uint16) {
		e, err := New(int(level) % (LevelMax + 1))
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, data...)
		if got, err := unpack(pack(e, data, int(size)+1)); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes come back as %d, %v", len(data), len(got), err)
		}
		at := int(size) % (len(data) + 1)
		e.Begin(data, at)
		second := e.Append(nil, data, at, len(data))
		e.Reset()
		if got, err := unpack(append(e.Append(nil, data[:at], 0, at), second...)); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes in two parts come back as %d, %v", len(data), len(got), err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	data := bytes.Repeat(kinds()["mixed"], 2)
	for level := range LevelMax + 1 {
		b.Run(fmt.Sprint(level), func(b *testing.B) {
			e, _ := New(level)
			var out []byte
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				e.Reset()
				out = e.Append(out[:0], data, 0, len(data))
			}
			b.ReportMetric(float64(len(out))/float64(len(data)), "ratio")
		})
	}
}
