package wire

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
)

// TestHTTPOffer: the question for HTTP goes where old servers do not look, the
// answer only to those that asked, and neither changes what old peers read.
func TestHTTPOffer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id   string
		told bool
	}{{"a", true}, {strings.Repeat("x", 248), true}, {strings.Repeat("x", 249), false}, {strings.Repeat("x", 256), false}} {
		q := GetRequest{Host: netip.IPv4Unspecified(), Methods: AnyMethod, HTTP: true, ImageID: c.id}
		raw, err := q.Append(nil)
		if err != nil || len(raw) != GetRequestBytes {
			t.Fatal(len(raw), err)
		}
		got, err := ParseGetRequest(raw)
		if err != nil || got.HTTP != c.told || got.ImageID != c.id {
			t.Errorf("%d bytes of name: %+v, %v", len(c.id), got, err)
		}
	}
	plain := GetReply{Server: netip.IPv4Unspecified(), Addr: netip.IPv4Unspecified(), Signature: MTimeSignature(77), FileBytes: 9}
	tells := plain
	tells.HTTPPort = 8080
	was, is := plain.Append(nil), tells.Append(nil)
	differ := 0
	for i := range was {
		if was[i] != is[i] {
			differ++
			if i < 280-httpTellBytes || i >= 280 {
				t.Errorf("byte %d differs", i)
			}
		}
	}
	got, err := ParseGetReply(is)
	if err != nil || got != tells || differ == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if again := got.Append(nil); !bytes.Equal(again, is) {
		t.Error("does not encode to the same")
	}
}
