package inflate

import (
	"bytes"
	"compress/zlib"
	"io"
	"math/rand/v2"
	"testing"
)

// samples are texts of every kind of block.
func samples(r *rand.Rand) [][]byte {
	random := make([]byte, 70000)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	skewed := make([]byte, 200000)
	for i := range skewed {
		// Exponential frequencies make codes longer than the first table.
		for skewed[i] = 0; skewed[i] < 250 && r.IntN(10) > 0; skewed[i]++ {
		}
	}
	return [][]byte{
		nil, {7}, random, skewed,
		make([]byte, 300000),
		bytes.Repeat([]byte("abc"), 30000),
		bytes.Repeat([]byte("0123456789abcdefg"), 9999),
		append(append(append([]byte{}, random[:20000]...), make([]byte, 40000)...), random[:30000]...),
	}
}

func deflated(t *testing.T, data []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// inflateAll decodes a stream in pieces of step bytes.
func inflateAll(f *Decoder, payload []byte, size, step int) ([]byte, error) {
	if err := f.Reset(payload); err != nil {
		return nil, err
	}
	out := make([]byte, size)
	for at := 0; at < size; at += step {
		if err := f.Fill(out[:min(size, at+step)], at, int64(size)); err != nil {
			return nil, err
		}
	}
	return out, f.Finish(out, int64(size))
}

// TestInflate decodes what the standard library encodes, in pieces of awkward
// sizes so that matches are cut.
func TestInflate(t *testing.T) {
	t.Parallel()
	f := &Decoder{}
	for i, want := range samples(rand.New(rand.NewPCG(1, 2))) {
		for _, level := range []int{-2, 0, 1, 9} {
			payload := deflated(t, want, level)
			for _, step := range []int{1 << 20, 4099, 63} {
				if step == 63 && len(want) > 100000 {
					continue // slow
				}
				got, err := inflateAll(f, payload, len(want), step)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("sample %d, level %d, step %d: wrong data, %v", i, level, step, err)
				}
			}
			if _, err := inflateAll(f, payload, len(want)+1, 1<<20); err == nil {
				t.Errorf("sample %d, level %d: a byte too few passes", i, level)
			}
			if len(want) > 0 {
				if _, err := inflateAll(f, payload, len(want)-1, 1<<20); err == nil {
					t.Errorf("sample %d, level %d: a byte too many passes", i, level)
				}
			}
			if _, err := inflateAll(f, append(payload, 0), len(want), 1<<20); err == nil {
				t.Errorf("sample %d, level %d: a byte after the stream passes", i, level)
			}
		}
	}
}

// TestInflateDamaged changes bits and holds the outcome against the standard
// library's.
func TestInflateDamaged(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	f := &Decoder{}
	for i, data := range samples(r) {
		if len(data) > 3000 {
			data = data[len(data)-3000:]
		}
		for round := range 200 {
			payload := deflated(t, data, []int{-2, 1, 6, 9}[round%4])
			for range 1 + round%3 {
				payload[r.IntN(len(payload))] ^= 1 << r.IntN(8)
			}
			if round%5 == 0 {
				payload = payload[:r.IntN(len(payload))]
			}
			want, wantErr := stdInflate(payload)
			got, err := inflateAll(f, payload, len(want), 1<<20)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("sample %d, round %d: %v, standard library %v", i, round, err, wantErr)
			}
			if err == nil && !bytes.Equal(got, want) {
				t.Fatalf("sample %d, round %d: wrong data passes", i, round)
			}
		}
	}
}

func stdInflate(payload []byte) ([]byte, error) {
	src := bytes.NewReader(payload)
	z, err := zlib.NewReader(src)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(z)
	if err == nil && src.Len() > 0 {
		err = io.ErrNoProgress
	}
	return out, err
}

func BenchmarkInflate(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	words := bytes.Fields([]byte("node chunk region sector image disk frisbee boot multicast 0x1f {} \n\n return if err != nil"))
	var text []byte
	for len(text) < 3<<20 {
		text = append(append(text, words[r.IntN(len(words))]...), byte(r.IntN(40)))
	}
	var buf bytes.Buffer
	z := zlib.NewWriter(&buf)
	if _, err := z.Write(text); err != nil {
		b.Fatal(err)
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	f, out := &Decoder{}, make([]byte, len(text))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Reset(buf.Bytes()); err != nil {
			b.Fatal(err)
		}
		if err := f.Fill(out, 0, int64(len(out))); err != nil {
			b.Fatal(err)
		}
	}
}
