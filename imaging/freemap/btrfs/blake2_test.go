package btrfs

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestBlake2b holds digests against those of other programs (b2sum -l 256).
func TestBlake2b(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text []byte
		want string
	}{
		{nil, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
		{[]byte("abc"), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"},
		{bytes.Repeat([]byte("x"), 128), "164ffb7089bae6f5a62fb0795e751dc9e88eac92e1a5b2fafe93a25abf2d9c3b"},
		{bytes.Repeat([]byte("x"), 1000), "ab75119ede14ef06ebf31f745fb655ed006cccfe8054c635308a557f7c9beaba"},
	} {
		if got := blake2b256(c.text); hex.EncodeToString(got[:]) != c.want {
			t.Errorf("%d bytes: %x, want %s", len(c.text), got, c.want)
		}
	}
}
