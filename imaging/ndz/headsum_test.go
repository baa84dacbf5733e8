package ndz

import (
	"fmt"
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
