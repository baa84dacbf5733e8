package wire

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// TestEndMarkOffer: the question for an end mark goes where old servers do not
// look, and the answer where old clients do not.
func TestEndMarkOffer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id   string
		told bool
	}{{"a", true}, {strings.Repeat("x", 248), true}, {strings.Repeat("x", 249), false}, {strings.Repeat("x", 256), false}} {
		plain := PutRequest{Host: netip.IPv4Unspecified(), ImageID: c.id, FileBytes: 7, MTime: 8, TimeoutS: 9}
		asks := plain
		asks.EndMark = true
		was, err := plain.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := asks.Append(nil)
		if err != nil || len(raw) != PutRequestBytes {
			t.Fatal(len(raw), err)
		}
		differAt(t, was, raw, 271-len(putAsk), 271)
		if got, err := ParsePutRequest(raw); err != nil || got.EndMark != c.told || got.ImageID != c.id || got.FileBytes != 7 {
			t.Errorf("%d bytes of name: %+v, %v", len(c.id), got, err)
		}
	}
	plain := PutReply{Addr: netip.IPv4Unspecified(), Signature: MTimeSignature(77), FileBytes: 9}
	tells := plain
	tells.EndMark = true
	differAt(t, plain.Append(nil), tells.Append(nil), 275-len(putTell), 275)
	if got, err := ParsePutReply(tells.Append(nil)); err != nil || got != tells {
		t.Errorf("%+v, %v", got, err)
	}
}

// differAt: was and is are the same outside of from to end.
func differAt(t *testing.T, was, is []byte, from, end int) {
	t.Helper()
	for i := range was {
		if was[i] != is[i] && (i < from || i >= end) {
			t.Errorf("byte %d differs", i)
		}
	}
}

// TestEndMarkGolden pins the bytes.
func TestEndMarkGolden(t *testing.T) {
	t.Parallel()
	const want = "8968797a657220696d61676520656e640a0000000100000002"
	mark := AppendEndMark(nil, 1<<32+2)
	if got := hex.EncodeToString(mark); got != want || len(mark) != EndMarkBytes {
		t.Errorf("%s", got)
	}
	if !IsEndMark(mark, 1<<32+2) || IsEndMark(mark, 2) || IsEndMark(mark[1:], 1<<32+2) || IsEndMark(nil, 0) {
		t.Error("another mark is taken for it")
	}
}
