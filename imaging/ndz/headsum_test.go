package ndz

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestHeadSum flips every bit of heads of all versions: none is taken for
// another head, and none that has no sum is refused for that.
func TestHeadSum(t *testing.T) {
	t.Parallel()
	for _, v := range []Version{V1, V2, V3, V4} {
		b, err := marked(t, v, 3, Mark{})
		if err != nil {
			t.Fatal(err)
		}
		want, err := ParseHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range want.tableEnd() * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			got, err := ParseHeader(b)
			if late := v == V1 && bit/8 >= offTotal && bit/8 < offRegionArea || v == V4 && bit/8 >= offSum && bit/8 < offImageID; err == nil && !late {
				t.Errorf("%s: bit %d of byte %d flipped: read as %+v", v, bit%8, bit/8, got)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
		clear(b[offHeadSum:offMark]) // as old writers leave it
		if got, err := ParseHeader(b); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s without sum: %+v, %v, want %+v", v, got, err, want)
		}
	}
}

// TestEnd has chunks of images that were cut between two chunks, or are of two
// images.
func TestEnd(t *testing.T) {
	t.Parallel()
	chunk := func(first, last, end uint64) *Header {
		h := Header{Version: V3, PayloadBytes: 1000, RegionAreaBytes: HeaderAreaBytes, First: first, Last: last, End: end, Regions: []Region{{first, 1}}}
		b, err := h.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseHeader(b)
		if err != nil || got.End != end {
			t.Fatalf("ends at %d, want %d, %v", got.End, end, err)
		}
		return got
	}
	for _, c := range []struct {
		name   string
		chunks []*Header
		want   string
	}{
		{"whole", []*Header{chunk(0, 10, 30), chunk(10, 30, 30)}, ""},
		{"not known", []*Header{chunk(0, 10, 0), chunk(10, 20, 0)}, ""},
		{"cut", []*Header{chunk(0, 10, 30), chunk(10, 20, 30)}, "up to sector 20 of 30: the end is missing"},
		{"two images", []*Header{chunk(0, 10, 30), chunk(10, 31, 31)}, "of an image that ends at sector 31"},
	} {
		var all Collector
		var err error
		for _, h := range c.chunks {
			err = errors.Join(err, all.Add(h))
		}
		if err == nil {
			_, err = all.Finish()
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
