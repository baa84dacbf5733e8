package tftp

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"hyzer/netsvc/bootfiles"
)

// TestNegotiate is RFC 2347 in one table: asked options as "name=value", and
// the OACK they get for a file of 42430 bytes.
func TestNegotiate(t *testing.T) {
	t.Parallel()
	o := offer{blockBytesMax: 1468, windowMax: 64}
	for _, c := range []struct{ asked, oack string }{
		{"", ""},
		{"blksize=1432 tsize=0", "blksize=1432 tsize=42430"},
		{"tsize=0 blksize=1408", "tsize=42430 blksize=1408"},
		{"tsize=0 blksize=1468 windowsize=4", "tsize=42430 blksize=1468 windowsize=4"},
		{"TSize=0 BLKSIZE=512", "TSize=42430 BLKSIZE=512"},
		{"blksize=8", "blksize=8"},
		{"blksize=7", ""},
		{"blksize=0", ""},
		{"blksize=65464", "blksize=1468"},
		{"blksize=65465", "blksize=1468"},
		{"blksize=-1", ""},
		{"blksize=99999999999999999999", ""},
		{"blksize=", ""},
		{"blksize=0x200", ""},
		{"blksize=600 blksize=700", "blksize=600"},
		{"windowsize=0", ""},
		{"windowsize=1", "windowsize=1"},
		{"windowsize=65535", "windowsize=64"},
		{"timeout=0", ""},
		{"timeout=1", "timeout=1"},
		{"timeout=255", "timeout=255"},
		{"timeout=256", ""},
		{"multicast=", ""},
		{"rollover=1 tsize=0", "tsize=42430"},
	} {
		var asked []Option
		for _, field := range strings.Fields(c.asked) {
			name, value, _ := strings.Cut(field, "=")
			asked = append(asked, Option{name, value})
		}
		var oack []string
		for _, option := range negotiate(asked, 42430, o).accepted {
			oack = append(oack, option.Name+"="+option.Value)
		}
		if got := strings.Join(oack, " "); got != c.oack {
			t.Errorf("asked %q: OACK %q, want %q", c.asked, got, c.oack)
		}
	}
}

func TestRefuseOpenTellsNoPaths(t *testing.T) {
	t.Parallel()
	_, absent := os.Open(t.TempDir() + "/secret/place")
	for _, c := range []struct {
		err  error
		code Code
	}{
		{absent, CodeNotFound},
		{fmt.Errorf("node 7: %w", fs.ErrPermission), CodeAccess},
		{fmt.Errorf("%w: x", bootfiles.ErrRefused), CodeAccess},
		{errNetasciiBytes, CodeIllegal},
		{fmt.Errorf("disk /dev/sda on fire"), CodeUndefined},
	} {
		r := refuseOpen(c.err)
		if r.code != c.code || strings.ContainsAny(r.text, "/\\") {
			t.Errorf("%v: code %d %q, want code %d", c.err, r.code, r.text, c.code)
		}
	}
}

func TestRateLimiter(t *testing.T) {
	t.Parallel()
	a, b := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	l := newRateLimiter(15, 10, epoch)
	count := func(now time.Time, client netip.Addr, n int) (passed int) {
		for range n {
			if l.allow(now, client) {
				passed++
			}
		}
		return passed
	}
	if got := count(epoch, a, 50); got != 10 {
		t.Errorf("one client: %d of 50 passed, want 10", got)
	}
	if got := count(epoch, b, 50); got > 5 {
		t.Errorf("second client: %d passed, 5 were left in all", got)
	}
	if got := count(epoch.Add(time.Hour), a, 50); got != 10 {
		t.Errorf("an hour later: %d passed, want one second's worth", got)
	}
}
