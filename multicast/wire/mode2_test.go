package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

var testVersion = Version{ImageID: 0x1122334455667788, Epoch: 0xa1a2a3a4}

// TestMode2Golden pins every byte of what mode 2 adds to the wire.
func TestMode2Golden(t *testing.T) {
	t.Parallel()
	src := [4]byte{10, 0, 0, 2}
	frame := make([]byte, DatagramBytesMax)
	PutParityHeader(frame, 3, 300, src)
	PutTrailer(frame, Trailer{Version: testVersion, Seq: 7, SentUS: 9, Left: 2, Loss: NewLoss(1, 100)})
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"offer": {AppendOffer(nil, NewOffer()), "8968797a6572206672697362656532" + "0a" + "01020200" + "0000000000000000000000000000000000000000"},
		"grant": {AppendGrant(nil, Grant{Version: testVersion, ParityPort: 0x1234, Code: CodeLeopard, ParityBlocks: 256}),
			"8968797a65722066726973626565320a" + "0211" + "8877665544332211" + "a4a3a2a1" + "3412" + "01" + "0001" + "0000000000"},
		"nak": {Nak{Version: testVersion, Chunk: 3, Need: 9, Loss: 0x100, Base: 20, ClientID: 5, EchoUS: 6, HeldUS: 8}.Append(nil, src),
			"01000000" + "10000000" + "24000000" + "0a000002" + "03000000" + "0900" + "0001" + "14000000" + "a4a3a2a1" + "8877665544332211" + "05000000" + "06000000" + "08000000"},
		"parity header":  {frame[:BlockDataOffset], "01000000" + "11000000" + "08040000" + "0a000002" + "03000000" + "2c010000"},
		"parity trailer": {frame[BlockDatagramBytes : DatagramBytesMax-4], "48595a32" + "a4a3a2a1" + "8877665544332211" + "07000000" + "09000000" + "0200" + "8f02"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func TestMode2RoundTrip(t *testing.T) {
	t.Parallel()
	src := [4]byte{10, 0, 0, 2}
	g := Grant{Version: testVersion, ParityPort: 4001, Code: CodeLeopard, ParityBlocks: 256}
	reply := AppendGrant(NewJoin2Reply(7, 5000).Append(nil, Reply, src), g)
	if got, ok := ParseGrant(reply); !ok || got != g {
		t.Errorf("grant %+v became %+v", g, got)
	}
	if _, body, err := Split(reply); err != nil || len(body) != join2BodyBytes {
		t.Errorf("a peer without mode 2 sees %d bytes, %v", len(body), err)
	}
	request := AppendOffer(NewJoin2Request(7).Append(nil, Request, src), NewOffer())
	if o, ok := ParseOffer(request); !ok || !o.Has(CodeLeopard) || o.Has(2) || len(request) < len(reply) {
		t.Errorf("offer became %+v, %v", o, ok)
	}
	n := Nak{Version: testVersion, Chunk: 3, Need: 9, Loss: 1, Base: 20, ClientID: 5, EchoUS: 6, HeldUS: 8}
	h, body, err := SplitMode2(n.Append(nil, src))
	if got, err2 := ParseNak(body); err != nil || err2 != nil || got != n || h.Subtype != SubNak {
		t.Errorf("NAK %+v became %+v, %v, %v", n, got, err, err2)
	}
	frame := Block{Chunk: 1, Block: 2, Data: bytes.Repeat([]byte{3}, BlockBytes)}.Append(nil, src)
	frame = append(frame, make([]byte, TrailerBytes)...)
	tr := Trailer{Version: testVersion, Seq: 1, SentUS: 2, Left: 3, Loss: 4}
	PutTrailer(frame, tr)
	if got, ok := ParseTrailer(frame); !ok || got != tr {
		t.Errorf("trailer %+v became %+v, %v", tr, got, ok)
	}
}

// TestMode2Refuses: one wrong byte anywhere in a block with a trailer, and
// every way an extension or a NAK can be wrong.
func TestMode2Refuses(t *testing.T) {
	t.Parallel()
	frame := append(Block{Data: make([]byte, BlockBytes)}.Append(nil, [4]byte{}), make([]byte, TrailerBytes)...)
	PutTrailer(frame, Trailer{Version: testVersion})
	for i := range frame {
		frame[i] ^= 0x10
		if _, ok := ParseTrailer(frame); ok {
			t.Fatalf("byte %d may change unseen", i)
		}
		frame[i] ^= 0x10
	}
	if _, ok := ParseTrailer(frame[:len(frame)-1]); ok {
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

// BenchmarkTrailer is what a trailer costs each end, the checksum included.
func BenchmarkTrailer(b *testing.B) {
	frame := append(Block{Data: make([]byte, BlockBytes)}.Append(nil, [4]byte{}), make([]byte, TrailerBytes)...)
	b.SetBytes(BlockBytes)
	b.ReportAllocs()
	for b.Loop() {
		PutTrailer(frame, Trailer{Version: testVersion})
		if _, ok := ParseTrailer(frame); !ok {
			b.Fatal("trailer is not its own")
		}
	}
}
