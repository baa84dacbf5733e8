package fuzz

import (
	"bytes"
	"net/netip"
	"testing"

	"hyzer/multicast/igmp"
)

// FuzzIGMP: no panic, and a message of 8 bytes encodes back to the same.
func FuzzIGMP(f *testing.F) {
	f.Add(igmp.Message{Type: igmp.Query, Code: 100, Group: netip.IPv4Unspecified()}.Append(nil))
	f.Add(igmp.Message{Type: igmp.ReportV2, Group: netip.MustParseAddr("239.192.1.1")}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := igmp.Parse(b)
		if err != nil || len(b) != igmp.Bytes || b[2] == 0xff && b[3] == 0xff {
			return // 0xffff is the other zero
		}
		if got := m.Append(nil); !bytes.Equal(got, b) && !(got[2] == 0xff && got[3] == 0xff || b[2] == 0 && b[3] == 0) {
			t.Fatalf("% x became % x", b, got)
		}
	})
}
