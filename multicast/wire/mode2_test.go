package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

func testKey() *Key { return &Key{1, 2, 3} }

var testVersion = Version{ImageID: 0x1122334455667788, Epoch: 0xa1a2a3a4}

// TestMode2Golden pins every byte of what mode 2 adds to the wire.
func TestMode2Golden(t *testing.T) {
	t.Parallel()
	src := [4]byte{10, 0, 0, 2}
	frame := make([]byte, DatagramBytesMax)
	PutParityHeader(frame, 3, 300, src)
	PutTrailer(frame, Trailer{Version: testVersion, Seq: 7, SentUS: 9, Left: 2, Loss: NewLoss(1, 100)}, nil)
	manifest := make([]byte, DatagramBytesMax)
	PutManifestHeader(manifest, 9, src)
	key := testKey().Blocks(4000, testVersion.ImageID)
	PutTrailer(manifest, Trailer{Version: testVersion, Seq: 7, SentUS: 9, Left: 2, Loss: NewLoss(1, 100)}, key)
	zeros := func(n int) string { return strings.Repeat("00", n) }
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"offer": {AppendOffer(nil, Offer{Codes: 1 << CodeCauchy, Nonce: 0x01020304, ClockUS: 5}),
			"8968797a65722066726973626565320a" + "010a" + "0400" + "04030201" + "05000000" + zeros(28) + zeros(TagBytes)},
		"grant": {AppendGrant(nil, Grant{Version: testVersion, ParityPort: 0x1234, Code: CodeCauchy, ParityBlocks: 256, Nonce: 1, ClockUS: 2, ManifestBytes: 3, Keyed: true}),
			"8968797a65722066726973626565320a" + "021e" + "8877665544332211" + "a4a3a2a1" + "3412" + "02" + "0001" + "01000000" + "02000000" + "03000000" + "01" + zeros(8) + zeros(TagBytes)},
		"nak": {Nak{Version: testVersion, Chunk: 3, Need: 9, Loss: 0x100, Base: 20, ClientID: 5, EchoUS: 6, HeldUS: 8}.Append(nil, src),
			"01000000" + "10000000" + "34000000" + "0a000002" + "03000000" + "0900" + "0001" + "14000000" + "a4a3a2a1" + "8877665544332211" + "05000000" + "06000000" + "08000000" + zeros(TagBytes)},
		"want": {Want{Version: testVersion, First: 3, Count: 9, ClientID: 5, EchoUS: 6, HeldUS: 8}.Append(nil, src),
			"01000000" + "13000000" + "30000000" + "0a000002" + "03000000" + "09000000" + "a4a3a2a1" + "8877665544332211" + "05000000" + "06000000" + "08000000" + zeros(TagBytes)},
		"manifest header": {manifest[:BlockDataOffset], "01000000" + "12000000" + "08040000" + "0a000002" + "09000000" + "00000000"},
		"keyed trailer":   {manifest[BlockDatagramBytes:], "a4a3a2a1" + "07000000" + "09000000" + "0200" + "8f02" + "b27218cf3b492206122400839b1e1820"},
		"parity header":   {frame[:BlockDataOffset], "01000000" + "11000000" + "08040000" + "0a000002" + "03000000" + "2c010000"},
		"parity trailer":  {frame[BlockDatagramBytes : DatagramBytesMax-4], "a4a3a2a1" + "07000000" + "09000000" + "0200" + "8f02" + "48595a32" + "8877665544332211"},
		"flow": {Flow{Version: testVersion, Rate: 7000, Fill: 0x100, Free: 9, Dropped: 3, ClientID: 5, EchoUS: 6, HeldUS: 8}.Append(nil, src),
			"01000000" + "14000000" + "34000000" + "0a000002" + "581b0000" + "0001" + "0900" + "03000000" + "a4a3a2a1" + "8877665544332211" + "05000000" + "06000000" + "08000000" + zeros(TagBytes)},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func TestMode2RoundTrip(t *testing.T) {
	t.Parallel()
	src := [4]byte{10, 0, 0, 2}
	g := Grant{Version: testVersion, ParityPort: 4001, Code: CodeCauchy, ParityBlocks: 256, Nonce: 3, ClockUS: 4, ManifestBytes: 5, Keyed: true}
	reply := AppendGrant(NewJoin2Reply(7, 5000).Append(nil, Reply, src), g)
	if got, ok := ParseGrant(reply); !ok || got != g {
		t.Errorf("grant %+v became %+v", g, got)
	}
	if _, body, err := Split(reply); err != nil || len(body) != join2BodyBytes {
		t.Errorf("a peer without mode 2 sees %d bytes, %v", len(body), err)
	}
	request := AppendOffer(NewJoin2Request(7).Append(nil, Request, src), NewOffer())
	if o, ok := ParseOffer(request); !ok || !o.Has(CodeCauchy) || o.Has(1) || len(request) < len(reply) {
		t.Errorf("offer became %+v, %v", o, ok)
	}
	n := Nak{Version: testVersion, Chunk: 3, Need: 9, Loss: 1, Base: 20, ClientID: 5, EchoUS: 6, HeldUS: 8}
	h, body, err := SplitMode2(n.Append(nil, src))
	if got, err2 := ParseNak(body); err != nil || err2 != nil || got != n || h.Subtype != SubNak {
		t.Errorf("NAK %+v became %+v, %v, %v", n, got, err, err2)
	}
	f := Flow{Version: testVersion, Rate: 1, Fill: 2, Free: 3, Dropped: 4, ClientID: 5, EchoUS: 6, HeldUS: 7}
	h, body, err = SplitMode2(f.Append(nil, src))
	if got, err2 := ParseFlow(body); err != nil || err2 != nil || got != f || h.Subtype != SubFlow {
		t.Errorf("FLOW %+v became %+v, %v, %v", f, got, err, err2)
	}
	if _, err := ParseFlow(body[:len(body)-1]); !errors.Is(err, ErrShort) {
		t.Errorf("short FLOW: %v", err)
	}
	frame := Block{Chunk: 1, Block: 2, Data: bytes.Repeat([]byte{3}, BlockBytes)}.Append(nil, src)
	frame = append(frame, make([]byte, TrailerBytes)...)
	tr := Trailer{Version: testVersion, Seq: 1, SentUS: 2, Left: 3, Loss: 4}
	PutTrailer(frame, tr, nil)
	if got, ok := ParseTrailer(frame, nil); !ok || got != tr {
		t.Errorf("trailer %+v became %+v, %v", tr, got, ok)
	}
}

// TestMode2Refuses: one wrong byte anywhere in a block with a trailer, and
// every way an extension or a NAK can be wrong.
func TestMode2Refuses(t *testing.T) {
	t.Parallel()
	frame := append(Block{Data: make([]byte, BlockBytes)}.Append(nil, [4]byte{}), make([]byte, TrailerBytes)...)
	PutTrailer(frame, Trailer{Version: testVersion}, nil)
	for i := range frame {
		frame[i] ^= 0x10
		if _, ok := ParseTrailer(frame, nil); ok {
			t.Fatalf("byte %d may change unseen", i)
		}
		frame[i] ^= 0x10
	}
	if _, ok := ParseTrailer(frame[:len(frame)-1], nil); ok {
		t.Error("short trailer taken")
	}
	request := AppendOffer(NewJoin2Request(7).Append(nil, Request, [4]byte{}), NewOffer())
	optionAt := len(request) - ExtensionBytes + len(extensionMagic)
	for name, spoil := range map[string]func([]byte) []byte{
		"short":     func(b []byte) []byte { return b[:len(b)-1] },
		"magic":     func(b []byte) []byte { b[optionAt-1]++; return b },
		"past end":  func(b []byte) []byte { b[optionAt+1] = 200; return b },
		"too small": func(b []byte) []byte { b[optionAt+1] = 1; return b },
		"absent":    func(b []byte) []byte { b[optionAt] = optionEnd; return b },
		"legacy":    func(b []byte) []byte { return b[:HeaderBytes+join2BodyBytes] },
	} {
		if o, ok := ParseOffer(spoil(bytes.Clone(request))); ok {
			t.Errorf("%s: taken as %+v", name, o)
		}
	}
	for need, want := range map[uint16]error{0: ErrRange, 1: nil, NeedMax: nil, NeedMax + 1: ErrRange} {
		if _, err := ParseNak(Nak{Need: need}.Append(nil, [4]byte{})[HeaderBytes:]); !errors.Is(err, want) {
			t.Errorf("need %d: %v", need, err)
		}
	}
}

// TestKey: with the key every byte of a datagram counts, and so do image, port
// and key.
func TestKey(t *testing.T) {
	t.Parallel()
	blocks := testKey().Blocks(4000, testVersion.ImageID)
	frame := append(Block{Data: make([]byte, BlockBytes)}.Append(nil, [4]byte{}), make([]byte, TrailerBytes)...)
	want := Trailer{Version: testVersion, Seq: 1, SentUS: 2, Left: 3, Loss: 4}
	PutTrailer(frame, want, blocks)
	if got, ok := ParseTrailer(frame, blocks); !ok || got != want {
		t.Errorf("trailer %+v became %+v, %v", want, got, ok)
	}
	control := testKey().Control(4000)
	for name, packet := range map[string][]byte{
		"offer": AppendOffer(NewJoin2Request(7).Append(nil, Request, [4]byte{}), NewOffer()),
		"grant": AppendGrant(NewJoin2Reply(7, 5).Append(nil, Reply, [4]byte{}), Grant{}),
		"nak":   Nak{Need: 1}.Append(nil, [4]byte{}),
		"want":  Want{Count: 1}.Append(nil, [4]byte{}),
	} {
		if control.Genuine(packet) {
			t.Errorf("%s: without a tag taken", name)
		}
		everyByte(t, name, control.Sign(packet), control.Genuine)
		if (&Key{9}).Control(4000).Genuine(packet) || testKey().Control(4001).Genuine(packet) {
			t.Errorf("%s: taken with another key or at another port", name)
		}
		if (*ControlKey)(nil).Genuine(packet) {
			t.Errorf("%s: taken without a key", name)
		}
	}
	everyByte(t, "block", frame, func(b []byte) bool { _, ok := ParseTrailer(b, blocks); return ok })
	for name, other := range map[string]*BlockKey{
		"image": testKey().Blocks(4000, 1), "port": testKey().Blocks(4001, testVersion.ImageID), "key": (&Key{9}).Blocks(4000, testVersion.ImageID), "none": nil,
	} {
		if _, ok := ParseTrailer(frame, other); ok {
			t.Errorf("taken with another %s", name)
		}
	}
	key := testKey()
	if k, err := NewKey(key[:]); err != nil || *k != *key {
		t.Errorf("key became %v, %v", k, err)
	}
	if _, err := NewKey(key[1:]); !errors.Is(err, ErrKey) {
		t.Errorf("short key: %v", err)
	}
}

// everyByte changes each byte of a good packet in turn.
func everyByte(t *testing.T, name string, b []byte, good func([]byte) bool) {
	t.Helper()
	if !good(b) {
		t.Errorf("%s: refused", name)
	}
	for i := range b {
		if b[i] ^= 0x10; good(b) {
			t.Fatalf("%s: byte %d may change unseen", name, i)
		}
		b[i] ^= 0x10
	}
}

func TestWantRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, count uint32
		want         error
	}{{0, 0, ErrRange}, {0, 1, nil}, {0, WantBlocksMax, nil}, {0, WantBlocksMax + 1, ErrRange}, {1<<32 - 1, 1, ErrRange}} {
		b := Want{First: c.first, Count: c.count}.Append(nil, [4]byte{})[HeaderBytes:]
		if _, err := ParseWant(b); !errors.Is(err, c.want) {
			t.Errorf("%d from %d: %v", c.count, c.first, err)
		}
		if _, err := ParseWant(b[:len(b)-1]); !errors.Is(err, ErrShort) {
			t.Errorf("short: %v", err)
		}
	}
}

// BenchmarkTrailer is what a trailer costs each end, its checksum or tag
// included.
func BenchmarkTrailer(b *testing.B) {
	for name, key := range map[string]*BlockKey{"checksum": nil, "tag": testKey().Blocks(4000, testVersion.ImageID)} {
		b.Run(name, func(b *testing.B) {
			frame := append(Block{Data: make([]byte, BlockBytes)}.Append(nil, [4]byte{}), make([]byte, TrailerBytes)...)
			b.SetBytes(BlockBytes)
			b.ReportAllocs()
			for b.Loop() {
				PutTrailer(frame, Trailer{Version: testVersion}, key)
				if _, ok := ParseTrailer(frame, key); !ok {
					b.Fatal("trailer is not its own")
				}
			}
		})
	}
}
