package manifest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func image(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func testKey() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bytes int
		id    Identity
		sign  bool
	}{
		{1, Identity{}, false},
		{ChunkBytes, Identity{ImageID: ImageID{1}, Version: 7}, true},
		{2*ChunkBytes + 5, Identity{Base: StateID{2}, State: StateID{3}, Version: 1<<32 - 1}, true},
		{3 * ChunkBytes, Identity{State: StateID{9}}, false},
	} {
		data := image(t, c.bytes)
		m, err := Build(iotest.HalfReader(bytes.NewReader(data)), c.id)
		if err != nil {
			t.Fatal(err)
		}
		if c.sign {
			if err := m.Sign(testKey()); err != nil {
				t.Fatal(err)
			}
		}
		text, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(text)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Fatalf("%d bytes: decoded %+v, %v, want %+v", c.bytes, got, err, m)
		}
		again, err := got.Encode()
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%d bytes: encodes differently the second time: %v", c.bytes, err)
		}
		if got.Signed() != c.sign || got.Delta() == c.id.Base.IsZero() || got.CheckSize(int64(c.bytes)) != nil || got.CheckSize(0) == nil {
			t.Errorf("%d bytes: signed %v, delta %v", c.bytes, got.Signed(), got.Delta())
		}
		checkChunks(t, got, data)
	}
}

// checkChunks holds every chunk, and every way of being another, against m.
func checkChunks(t *testing.T, m *Manifest, data []byte) {
	t.Helper()
	for i := range m.Chunks {
		chunk := data[i*ChunkBytes : min(len(data), (i+1)*ChunkBytes)]
		if err := m.CheckChunk(i, chunk); err != nil {
			t.Error(err)
		}
		bad := bytes.Clone(chunk)
		bad[len(bad)-1] ^= 1
		for name, err := range map[string]error{
			"flipped": m.CheckChunk(i, bad), "short": m.CheckChunk(i, chunk[1:]), "long": m.CheckChunk(i, append(bad, 0)),
			"other place": m.CheckChunk(i+1, chunk), "negative": m.CheckChunk(-1, chunk),
		} {
			if f := (*ChunkError)(nil); !errors.As(err, &f) {
				t.Errorf("chunk %d, %s: error %v", i, name, err)
			}
		}
	}
}

func TestBuilderTakesAnyPieces(t *testing.T) {
	t.Parallel()
	data := image(t, 2*ChunkBytes+100)
	want, err := Build(bytes.NewReader(data), Identity{})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []int{1000, ChunkBytes - 1, ChunkBytes, ChunkBytes + 1, 3 * ChunkBytes} {
		var b Builder
		for at := 0; at < len(data); at += step {
			b.Write(data[at:min(len(data), at+step)])
		}
		if m, err := b.Manifest(Identity{}); err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("pieces of %d bytes: %v", step, err)
		}
	}
	var b Builder
	b.Add(sha256.Sum256(data[:ChunkBytes]))
	b.Write(data[ChunkBytes:])
	if m, err := b.Manifest(Identity{}); err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("sum given: %v", err)
	}
	if _, err := new(Builder).Manifest(Identity{}); err == nil {
		t.Error("a manifest of nothing")
	}
	if _, err := Build(iotest.ErrReader(errors.New("disk on fire")), Identity{}); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Error("read error is lost:", err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	m, err := Build(bytes.NewReader(image(t, 10)), Identity{Version: 3})
	if err != nil {
		t.Fatal(err)
	}
	key := testKey()
	public := key.Public().(ed25519.PublicKey)
	if err := m.Verify(public); !errors.Is(err, ErrUnsigned) || m.Signer() != nil {
		t.Error("unsigned:", err)
	}
	if err := m.Sign(key[:10]); err == nil || m.Signed() {
		t.Error("signed with half a key")
	}
	if err := m.Sign(key); err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(public); err != nil || !bytes.Equal(m.Signer(), public) {
		t.Error(err)
	}
	other := bytes.Clone(public)
	other[0] ^= 1
	if m.Verify(other) == nil || m.Verify(public[:5]) == nil {
		t.Error("another key verifies")
	}
	for name, change := range map[string]func(*Manifest){
		"version": func(m *Manifest) { m.Version++ }, "id": func(m *Manifest) { m.ImageID[3] ^= 1 },
		"base": func(m *Manifest) { m.Base[0] ^= 1 }, "state": func(m *Manifest) { m.State[31] ^= 1 },
		"size": func(m *Manifest) { m.FileBytes-- }, "sum": func(m *Manifest) { m.Chunks[0][0] ^= 1 },
		"signature": func(m *Manifest) { m.signature[63] ^= 1 }, "signer": func(m *Manifest) { m.signer[0] ^= 1 },
	} {
		x := *m
		x.Chunks = append(x.Chunks[:0:0], m.Chunks...)
		change(&x)
		if x.Verify(public) == nil {
			t.Errorf("%s changed, and it still verifies", name)
		}
	}
	if got, err := ParsePublicKey([]byte("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29\n")); err != nil || !bytes.Equal(got, public) {
		t.Errorf("public key of RFC 8032 seed 0: %x, %v", got, err)
	}
}

// TestMalformed damages every field, with the sum made right again.
func TestMalformed(t *testing.T) {
	t.Parallel()
	m, err := Build(bytes.NewReader(image(t, ChunkBytes+1)), Identity{Base: StateID{1}})
	if err != nil {
		t.Fatal(err)
	}
	good, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	for _, c := range []struct {
		name, want string
		change     func(b []byte) []byte
	}{
		{"empty", "not a manifest", func(b []byte) []byte { return nil }},
		{"magic", "not a manifest", func(b []byte) []byte { b[0]++; return b }},
		{"layout", "update it", func(b []byte) []byte { b[offLayout]++; return b }},
		{"flag", "update it", func(b []byte) []byte { b[offFlags+1] = 1; return b }},
		{"delta flag", "do not go with", func(b []byte) []byte { b[offFlags] ^= flagDelta; return b }},
		{"signed flag", "do not go with", func(b []byte) []byte { b[offFlags] ^= flagSigned; return b }},
		{"chunk size", "want 1048576", func(b []byte) []byte { b[offChunk]++; return b }},
		{"count", "chunks of a file", func(b []byte) []byte { le.PutUint32(b[offCount:], 1<<31); return b }},
		{"count 0", "want 1 to", func(b []byte) []byte {
			le.PutUint32(b[offCount:], 0)
			return append(b[:headBytes], b[headBytes+2*sha256.Size:]...)
		}},
		{"size too large", "do not make a file", func(b []byte) []byte { le.PutUint64(b[offFile:], 2*ChunkBytes+1); return b }},
		{"size too small", "do not make a file", func(b []byte) []byte { le.PutUint64(b[offFile:], ChunkBytes); return b }},
		{"size huge", "chunks of a file", func(b []byte) []byte { le.PutUint64(b[offFile:], 1<<63); return b }},
		{"longer", "chunks of a file", func(b []byte) []byte { return append(b, 0) }},
	} {
		b := c.change(bytes.Clone(good))
		if len(b) > sha256.Size {
			sum := sha256.Sum256(b[:len(b)-sha256.Size])
			copy(b[len(b)-sha256.Size:], sum[:])
		}
		if _, err := Decode(b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 0x40
		if _, err := Decode(b); err == nil {
			t.Errorf("byte %d damaged, and it is taken", i)
		}
	}
}

func BenchmarkCheckChunk(b *testing.B) {
	data := make([]byte, ChunkBytes)
	m, err := Build(bytes.NewReader(data), Identity{})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(ChunkBytes)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.CheckChunk(0, data); err != nil {
			b.Fatal(err)
		}
	}
}
