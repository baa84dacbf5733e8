package fuzz

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"hyzer/netsvc/tmc2"
)

// FuzzTmc2 reads any bytes as frames and datagrams. What decodes must encode to
// something that decodes to the same.
func FuzzTmc2(f *testing.F) {
	vectors, err := os.ReadFile("../netsvc/tmc2/testdata/vectors.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(vectors)) {
		_, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if data, err := hex.DecodeString(digits); err == nil {
			f.Add(data)
			if len(data) > tmc2.HeaderBytes {
				f.Add(data[tmc2.HeaderBytes:])
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, n, err := tmc2.DecodeFrame(data, tmc2.PayloadBytesUsual)
		switch {
		case err == nil:
			tmc2Same(t, "frame", data[:n], tmc2.AppendFrame(nil, tmc2.Frame{Type: frame.Type, Flags: frame.Flags, Stream: frame.Stream, Payload: frame.Payload}))
			tmc2Payload(t, frame.Payload)
		case errors.Is(err, tmc2.ErrIncomplete) && len(data) >= tmc2.HeaderBytes+tmc2.PayloadBytesUsual:
			t.Fatalf("%d bytes are no frame yet", len(data))
		}
		tmc2Payload(t, data) // checksums keep a fuzzer out of whole frames
		if d, err := tmc2.DecodeDatagram(data); err == nil {
			d2, err := tmc2.DecodeDatagram(tmc2.AppendDatagram(nil, &d))
			if err != nil || d2.ID != d.ID || d2.Code != d.Code || !bytes.Equal(d2.Payload, d.Payload) {
				t.Fatalf("%+v came back as %+v, %v", d, d2, err)
			}
		}
	})
}

// tmc2Payload reads one payload as each message.
func tmc2Payload(t *testing.T, payload []byte) {
	if h, err := tmc2.DecodeHello(payload); err == nil {
		if again, err := tmc2.DecodeHello(tmc2.AppendHello(nil, &h)); err != nil || again != h {
			t.Fatalf("%+v came back as %+v, %v", h, again, err)
		}
	}
	var r, again tmc2.Request
	if tmc2.DecodeRequest(&r, payload) == nil {
		out := tmc2.AppendRequest(nil, &r)
		if err := tmc2.DecodeRequest(&again, out); err != nil {
			t.Fatalf("%+v: %v", r, err)
		}
		tmc2Same(t, "request", out, tmc2.AppendRequest(nil, &again))
		if len(out) > len(payload) {
			t.Fatalf("request grew from %d to %d bytes", len(payload), len(out))
		}
	}
	if s, err := tmc2.DecodeStatus(payload); err == nil {
		out := tmc2.AppendStatus(nil, &s)
		tmc2Same(t, "status", payload[:len(out)], out)
	}
	if g, err := tmc2.DecodeGoAway(payload); err == nil {
		out := tmc2.AppendGoAway(nil, &g)
		tmc2Same(t, "goaway", payload[:len(out)], out)
	}
	if c, err := tmc2.DecodeLogChunk(payload); err == nil {
		tmc2Same(t, "chunk", payload, tmc2.AppendLogChunk(nil, c))
	}
	if n, err := tmc2.DecodeNotify(payload); err == nil {
		out := tmc2.AppendNotify(nil, n)
		tmc2Same(t, "notify", payload[:len(out)], out)
	}
	if w, err := tmc2.DecodeWindow(payload); err == nil {
		tmc2Same(t, "window", payload, tmc2.AppendWindow(nil, w))
	}
}

func tmc2Same(t *testing.T, what string, want, got []byte) {
	if !bytes.Equal(want, got) {
		t.Fatalf("%s %x came back as %x", what, want, got)
	}
}
