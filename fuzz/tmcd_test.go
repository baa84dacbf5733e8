package fuzz

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/netsvc/tmcd"
	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab/emulabtest"
)

// tmcdReplyBytesMax is far over any reply of the golden site.
const tmcdReplyBytesMax = 64 << 10

// FuzzTmcd sends any bytes from any of a few addresses to the whole pure path:
// greeting, grammar, identification, command. Beyond not failing, the decision
// must not depend on how much of the request was there when it was made, and a
// stranger gets nothing.
func FuzzTmcd(f *testing.F) {
	var exchanges []struct {
		Src     string `json:"src"`
		Request string `json:"request"`
	}
	if err := json.Unmarshal(shared.ReadFile(f, "vectors/tmcd/golden-replies.json"), &exchanges); err != nil {
		f.Fatal(err)
	}
	seen := map[string]bool{}
	for _, x := range exchanges {
		if !seen[x.Request] && len(x.Request) < 256 {
			seen[x.Request] = true
			f.Add([]byte(x.Request), byte(6), false)
		}
	}
	for _, s := range []string{"\xf5TM2\x00", "\x16\x03\x01", "ISPEAKSSL_TMCDV10", "ISPEAK", "VERSION=99999999999 status ",
		"PRIVKEY=" + strings.Repeat("a", 129) + " status ", "IDKEY=%s%n status ", "VNODEID=" + strings.Repeat("x", 40) + " status ", "state \x1b[2J "} {
		f.Add([]byte(s), byte(1), true)
	}
	handler := tmcd.NewHandler()
	snapshot := fuzzSite(f)
	f.Fuzz(func(t *testing.T, data []byte, host byte, udp bool) {
		greeting := tmcd.Classify(data, true)
		for i := range min(len(data), 32) {
			if early := tmcd.Classify(data[:i], false); early != tmcd.GreetingMore && early != greeting {
				t.Fatalf("%q is greeting %v, but %v after %d bytes", data, greeting, early, i)
			}
		}
		head, rest, err := tmcd.ParseHead(data, true)
		for i := range min(len(data), 200) {
			part, at, partErr := tmcd.ParseHead(data[:i], false)
			if partErr == tmcd.ErrIncomplete {
				continue
			}
			if (partErr == nil) != (err == nil) || err == nil && (!bytes.Equal(part.Word, head.Word) || part.VNode != head.VNode || at != min(rest, at)) {
				t.Fatalf("%q: after %d bytes %+v %v, whole %+v %v", data, i, part, partErr, head, err)
			}
		}
		if err != nil {
			return
		}
		req := tmcd.Request{Head: head, From: netip.AddrFrom4([4]byte{127, 0, 1, host})}
		if udp {
			req.Transport = tmcd.UDP
		}
		result := handler.Handle(snapshot, req, data[rest:])
		if len(result.Reply) > tmcdReplyBytesMax {
			t.Fatalf("a reply of %d bytes", len(result.Reply))
		}
		stranger := req
		stranger.From, stranger.PrivKey, stranger.IDKey = netip.AddrFrom4([4]byte{192, 0, 2, 1}), "", ""
		if result := handler.Handle(snapshot, stranger, data[rest:]); len(result.Reply)+len(result.Effects) > 0 {
			t.Fatalf("a stranger got %q and %d effects for %q", result.Reply, len(result.Effects), data)
		}
	})
}

func fuzzSite(tb testing.TB) *registry.Snapshot {
	tb.Helper()
	file, _ := emulabtest.GoldenSite(tb)
	return registry.NewSnapshot(file)
}
