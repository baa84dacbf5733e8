package ndz

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
)

func marked(t *testing.T, v Version, regions int, m Mark) ([]byte, error) {
	t.Helper()
	h := Header{Version: v, PayloadBytes: 100000, RegionAreaBytes: HeaderAreaBytes, Last: 1 << 20, Mark: m}
	for i := range regions {
		h.Regions = append(h.Regions, Region{uint64(2 * i), 1})
	}
	return h.AppendTo(nil)
}

// TestMark writes marks, reads them back, and reads damaged ones.
func TestMark(t *testing.T) {
	t.Parallel()
	full := Mark{State: StateID{1, 2, 3}}
	delta := Mark{Delta: true, Base: StateID{9}, State: StateID{8}}
	for _, c := range []struct {
		name    string
		v       Version
		regions int
		mark    Mark
		damage  func(b []byte)
		want    string
	}{
		{"none", V3, 3, Mark{}, nil, ""},
		{"full image", V3, 3, full, nil, ""},
		{"delta", V2, 3, delta, nil, ""},
		{"V4", V4, 3, delta, nil, ""},
		{"most regions of V3", V3, (offMark - headerBytesV2) / RegionBytes, delta, nil, ""},
		{"damaged", V3, 3, delta, func(b []byte) { b[offMark+20] ^= 1 }, "offset 4000: mark is damaged"},
		{"newer layout", V3, 3, delta, func(b []byte) { b[offMark+8]++; resum(b) }, "newer than this program"},
		{"newer flag", V3, 3, delta, func(b []byte) { b[offMark+10] |= 2; resum(b) }, "newer than this program"},
		{"base of no delta", V3, 3, delta, func(b []byte) { b[offMark+10] = 0; resum(b) }, "no delta, or the other way"},
	} {
		b, err := marked(t, c.v, c.regions, c.mark)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if c.damage != nil {
			c.damage(b)
		}
		h, err := ParseHeader(b)
		switch {
		case c.want == "" && (err != nil || h.Mark != c.mark):
			t.Errorf("%s: %+v, %v", c.name, h, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	for v, regions := range map[Version]int{V1: 1, V3: (offMark-headerBytesV2)/RegionBytes + 1} {
		if _, err := marked(t, v, regions, full); err == nil {
			t.Errorf("%s of %d regions has a mark", v, regions)
		}
	}
}

// resum makes the checksum of a changed mark right.
func resum(b []byte) {
	sum := crc32.ChecksumIEEE(b[offMark:][:markOffSum])
	binary.LittleEndian.PutUint32(b[offMark+markOffSum:], sum)
}

// TestAddMark marks finished chunks.
func TestAddMark(t *testing.T) {
	t.Parallel()
	m := Mark{State: StateID{7}}
	for _, c := range []struct {
		v    Version
		mark Mark
		want bool
	}{{V3, Mark{}, true}, {V3, Mark{State: StateID{1}}, false}, {V1, Mark{}, false}} {
		b, err := marked(t, c.v, 2, c.mark)
		if err != nil {
			t.Fatal(err)
		}
		before := bytes.Clone(b)
		if done, err := AddMark(b, m); err != nil || done != c.want || done == bytes.Equal(b, before) {
			t.Errorf("%s with %+v: marked %v, %v", c.v, c.mark, done, err)
		}
	}
}
