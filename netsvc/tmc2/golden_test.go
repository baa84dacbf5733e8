package tmc2

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/vectors.txt anew")

func bootID() (id BootID) {
	for i := range id {
		id[i] = byte(i + 1)
	}
	return id
}

func text(words ...string) (out [][]byte) {
	for _, w := range words {
		out = append(out, []byte(w))
	}
	return out
}

// goldenFrames are the frames of testdata/vectors.txt, which docs/tmc2.md
// explains.
func goldenFrames() []struct {
	name  string
	frame Frame
	value any
} {
	hello := UsualHello()
	hello.BootID = bootID()
	answer := Hello{VersionMin: 1, VersionMax: 1, ReplyVersion: 44, PayloadBytes: 65536, Streams: 32, WindowBytes: 262144,
		BootID: bootID(), Features: FeatureLiveLog, Idle: 30 * time.Second}
	status := Request{ID: 0x1122334455667788, Command: []byte("status"), Args: [][]byte{}}
	state := Request{ID: 2, Command: []byte("state"), Args: text("TBSETUP")}
	watch := Request{ID: 4, ETag: 42, Command: []byte("watch"), Args: [][]byte{}}
	vnode := Request{ID: 3, Flags: FlagWantETag, Mode: ModeContainer, ETag: 7, Command: []byte("bootwhat"), Args: [][]byte{},
		VNode: []byte("pcvm6-1"), PrivKey: []byte("0123456789abcdef"), IDKey: []byte("abc"), LoaderVersion: 0, HasLoaderVersion: true}
	busy := Status{Code: CodeBusy, Retry: 1500 * time.Millisecond, Text: []byte("come again")}
	done := Status{Code: CodeOK, ETag: 0xfeedfacecafebeef, Text: []byte{}}
	away := GoAway{Code: CodeGoingAway, LastStream: 5, Text: []byte("server stops")}
	notify := Notify{NoticeConfig, 42}
	order, wish := Notify{NoticeReboot, 7}, Notify{NoticeLog, 9}
	challenged, challenging, proving, secured := goldenProofs()
	chunk := LogChunk{Offset: 1 << 32, Text: []byte("[    0.000000] Linux\n")}
	return []struct {
		name  string
		frame Frame
		value any
	}{
		{"hello-client", Frame{TypeHello, 0, 0, AppendHello(nil, &hello)}, hello},
		{"hello-server", Frame{TypeHello, 0, 0, AppendHello(nil, &answer)}, answer},
		{"hello-client-nonce", Frame{TypeHello, 0, 0, AppendHello(nil, &challenged)}, challenged},
		{"hello-server-nonce", Frame{TypeHello, 0, 0, AppendHello(nil, &challenging)}, challenging},
		{"hello-proof", Frame{TypeHello, 0, 0, AppendHello(nil, &proving)}, proving},
		{"hello-proof-tls", Frame{TypeHello, 0, 0, AppendHello(nil, &secured)}, secured},
		{"hello-empty", Frame{TypeHello, 0, 0, []byte{}}, UsualHello()},
		{"request-status", Frame{TypeRequest, FlagEnd, 1, AppendRequest(nil, &status)}, status},
		{"request-state", Frame{TypeRequest, FlagEnd, 3, AppendRequest(nil, &state)}, state},
		{"request-vnode", Frame{TypeRequest, FlagEnd, 5, AppendRequest(nil, &vnode)}, vnode},
		{"request-watch", Frame{TypeRequest, FlagEnd, 11, AppendRequest(nil, &watch)}, watch},
		{"data-log", Frame{TypeData, 0, 7, AppendLogChunk(nil, chunk)}, chunk},
		{"data-log-end", Frame{TypeData, FlagEnd, 7, AppendLogChunk(nil, LogChunk{9, []byte{}})}, LogChunk{9, []byte{}}},
		{"reply", Frame{TypeReply, 0, 1, []byte("ALLOCATED=p/e NICKNAME=a\n")}, nil},
		{"status-ok", Frame{TypeStatus, FlagEnd, 1, AppendStatus(nil, &done)}, done},
		{"status-busy", Frame{TypeStatus, FlagEnd, 9, AppendStatus(nil, &busy)}, busy},
		{"window", Frame{TypeWindow, 0, 7, AppendWindow(nil, 65536)}, uint64(65536)},
		{"ping", Frame{TypePing, 0, 0, AppendPing(nil, 0x0102030405060708)}, uint64(0x0102030405060708)},
		{"pong", Frame{TypePing, FlagPong, 0, AppendPing(nil, 0x0102030405060708)}, uint64(0x0102030405060708)},
		{"goaway", Frame{TypeGoAway, 0, 0, AppendGoAway(nil, &away)}, away},
		{"cancel", Frame{TypeCancel, 0, 7, []byte{}}, nil},
		{"notify", Frame{TypeNotify, 0, 11, AppendNotify(nil, notify)}, notify},
		{"notify-reboot", Frame{TypeNotify, 0, 11, AppendNotify(nil, order)}, order},
		{"notify-log", Frame{TypeNotify, 0, 11, AppendNotify(nil, wish)}, wish},
	}
}

func goldenDatagrams() map[string]Datagram {
	status := Request{ID: 7, Command: []byte("status")}
	return map[string]Datagram{
		"datagram-request": {Fragments: 1, ID: 7, Payload: AppendRequest(nil, &status)},
		"datagram-answer":  {Flags: FlagAnswer, Fragments: 1, ID: 7, Payload: []byte("FREE\n")},
		"datagram-unknown": {Flags: FlagAnswer, Fragments: 1, ID: 7, Code: CodeUnknownNode, Payload: []byte{}},
		"datagram-second":  {Flags: FlagAnswer, Fragment: 1, Fragments: 2, ID: 8, Payload: []byte("rest")},
	}
}

func vectors(t *testing.T) map[string][]byte {
	data, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		name, digits, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if found[name], err = hex.DecodeString(strings.ReplaceAll(digits, " ", "")); err != nil {
			t.Fatal(name, err)
		}
	}
	return found
}

func decode(f Frame) (any, error) {
	switch f.Type {
	case TypeHello:
		return DecodeHello(f.Payload)
	case TypeRequest:
		r := Request{Args: [][]byte{}}
		err := DecodeRequest(&r, f.Payload)
		return r, err
	case TypeData:
		return DecodeLogChunk(f.Payload)
	case TypeStatus:
		return DecodeStatus(f.Payload)
	case TypeWindow:
		return DecodeWindow(f.Payload)
	case TypePing:
		return DecodePing(f.Payload)
	case TypeGoAway:
		return DecodeGoAway(f.Payload)
	case TypeNotify:
		return DecodeNotify(f.Payload)
	}
	return nil, nil
}

// TestGolden compares every message with its bytes, both ways.
func TestGolden(t *testing.T) {
	t.Parallel()
	if *rewrite {
		rewriteVectors(t)
	}
	want := vectors(t)
	for _, tc := range goldenFrames() {
		if got := AppendFrame(nil, tc.frame); !bytes.Equal(got, want[tc.name]) {
			t.Errorf("%s: %x\nwant %x", tc.name, got, want[tc.name])
		}
		frame, n, err := DecodeFrame(want[tc.name], PayloadBytesUsual)
		if err != nil || n != len(want[tc.name]) || !reflect.DeepEqual(frame, tc.frame) {
			t.Errorf("%s: decoded %+v, %d, %v", tc.name, frame, n, err)
			continue
		}
		if value, err := decode(frame); err != nil || !reflect.DeepEqual(value, tc.value) {
			t.Errorf("%s: payload %+v, %v\nwant %+v", tc.name, value, err, tc.value)
		}
	}
	for name, d := range goldenDatagrams() {
		if got := AppendDatagram(nil, &d); !bytes.Equal(got, want[name]) {
			t.Errorf("%s: %x\nwant %x", name, got, want[name])
		}
		if got, err := DecodeDatagram(want[name]); err != nil || !reflect.DeepEqual(got, d) {
			t.Errorf("%s: decoded %+v, %v", name, got, err)
		}
	}
}

func rewriteVectors(t *testing.T) {
	var out bytes.Buffer
	out.WriteString("# Test vectors of TMC2 (docs/tmc2.md): a name and the bytes, in hex.\npreamble f5544d32\n")
	for _, tc := range goldenFrames() {
		fmt.Fprintf(&out, "%s %x\n", tc.name, AppendFrame(nil, tc.frame))
	}
	for _, name := range []string{"datagram-request", "datagram-answer", "datagram-unknown", "datagram-second"} {
		d := goldenDatagrams()[name]
		fmt.Fprintf(&out, "%s %x\n", name, AppendDatagram(nil, &d))
	}
	if err := os.WriteFile("testdata/vectors.txt", out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDamage changes every bit of every frame: none is taken for another.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, tc := range goldenFrames() {
		whole := AppendFrame(nil, tc.frame)
		for n := range whole {
			if _, _, err := DecodeFrame(whole[:n], PayloadBytesUsual); !errors.Is(err, ErrIncomplete) {
				t.Errorf("%s cut at %d: %v", tc.name, n, err)
			}
			for bit := range 8 {
				bad := bytes.Clone(whole)
				bad[n] ^= 1 << bit
				if f, _, err := DecodeFrame(bad, PayloadBytesUsual); err == nil {
					t.Errorf("%s with bit %d of byte %d changed is %+v", tc.name, bit, n, f)
				}
			}
		}
	}
}

// TestLimits goes past each.
func TestLimits(t *testing.T) {
	t.Parallel()
	request := func(r Request) []byte { return AppendRequest(nil, &r) }
	long := bytes.Repeat([]byte("x"), NameBytesMax+1)
	for _, tc := range []struct {
		name    string
		typ     Type
		payload []byte
	}{
		{"no command", TypeRequest, request(Request{})},
		{"long command", TypeRequest, request(Request{Command: long[:CommandBytesMax+1]})},
		{"many arguments", TypeRequest, request(Request{Command: []byte("x"), Args: make([][]byte, ArgsMax+1)})},
		{"mode", TypeRequest, request(Request{Command: []byte("x"), Mode: 2})},
		{"long vnode", TypeRequest, request(Request{Command: []byte("x"), VNode: long})},
		{"arguments that are not there", TypeRequest, request(Request{Command: []byte("x"), Args: make([][]byte, 2)})[:23]},
		{"loader version of 3 bytes", TypeRequest, append(request(Request{Command: []byte("x")}), 0, 4, 0, 3, 0, 0, 0)},
		{"small payloads", TypeHello, []byte{0, 3, 0, 4, 0, 0, 0x0f, 0xff}},
		{"large payloads", TypeHello, []byte{0, 3, 0, 4, 0, 0x10, 0, 1}},
		{"no streams", TypeHello, []byte{0, 4, 0, 2, 0, 0}},
		{"short boot id", TypeHello, []byte{0, 6, 0, 2, 0, 0}},
		{"versions upside down", TypeHello, []byte{0, 1, 0, 4, 0, 2, 0, 1}},
		{"half a tag", TypeHello, []byte{0}},
		{"long text", TypeStatus, append(append(make([]byte, 14), 1, 1), make([]byte, 257)...)},
		{"short status", TypeStatus, make([]byte, 15)},
		{"short nonce", TypeHello, []byte{0, 10, 0, 2, 0, 0}},
		{"short proof", TypeHello, append([]byte{0, 8, 0, 32, 1}, make([]byte, 31)...)},
		{"proof of no kind", TypeHello, append([]byte{0, 8, 0, 33, 0}, make([]byte, 32)...)},
		{"proof of a long name", TypeHello, append([]byte{0, 8, 0, 33 + NameBytesMax + 1, 1}, make([]byte, 32+NameBytesMax+1)...)},
		{"long window", TypeWindow, make([]byte, 9)},
		{"offset", TypeData, []byte{0x40, 0, 0, 0, 0, 0, 0, 0}},
	} {
		if value, err := decode(Frame{Type: tc.typ, Payload: tc.payload}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", tc.name, value, err)
		}
	}
	if _, err := FrameBytes(AppendFrame(nil, Frame{Payload: make([]byte, 100)}), 99); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large frame: %v", err)
	}
	if h, err := DecodeHello([]byte{0xff, 0xff, 0, 1, 9}); err != nil || h != UsualHello() {
		t.Errorf("unknown tag: %+v, %v", h, err)
	}
}

func BenchmarkFrame(b *testing.B) {
	r := Request{ID: 1, Command: []byte("status")}
	var buf []byte
	var got Request
	b.ReportAllocs()
	for b.Loop() {
		at := 0
		buf, at = StartFrame(buf[:0], TypeRequest, FlagEnd, 1)
		buf = FinishFrame(AppendRequest(buf, &r), at)
		f, _, err := DecodeFrame(buf, PayloadBytesUsual)
		if err == nil {
			err = DecodeRequest(&got, f.Payload)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
