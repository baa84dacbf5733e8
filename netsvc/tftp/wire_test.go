package tftp

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want Packet
		bad  bool
	}{
		{in: "", bad: true},
		{in: "\x00", bad: true},
		{in: "\x00\x00", bad: true},
		{in: "\x00\x07ab", bad: true},
		{in: "\x00\x01name", bad: true},
		{in: "\x00\x01name\x00octet", bad: true},
		{in: "\x00\x01" + strings.Repeat("n", 600) + "\x00octet\x00", bad: true},
		{in: "\x00\x01n\x00octet\x00" + strings.Repeat("a\x00b\x00", optionsMax+1), bad: true},
		{in: "\x00\x03\x00", bad: true},
		{in: "\x00\x04\x01", bad: true},
		{in: "\x00\x05", bad: true},
		{in: "\x00\x01n\x00octet\x00", want: Packet{Op: OpRRQ, Name: "n", Mode: "octet"}},
		{in: "\x00\x01n\xff\x00OCTET\x00", want: Packet{Op: OpRRQ, Name: "n\xff", Mode: "OCTET"}},
		{in: "\x00\x01n\x00octet\x00\x00\x00\x00", want: Packet{Op: OpRRQ, Name: "n", Mode: "octet"}},
		{in: "\x00\x01n\x00octet\x00tsize\x000\x00blksize\x00", want: Packet{Op: OpRRQ, Name: "n", Mode: "octet", Options: []Option{{"tsize", "0"}}}},
		{in: "\x00\x01n\x00octet\x00tsize", want: Packet{Op: OpRRQ, Name: "n", Mode: "octet"}},
		{in: "\x00\x02n\x00mail\x00", want: Packet{Op: OpWRQ, Name: "n", Mode: "mail"}},
		{in: "\x00\x03\xff\xffab", want: Packet{Op: OpData, Block: 65535, Data: []byte("ab")}},
		{in: "\x00\x04\x00\x07trailing", want: Packet{Op: OpAck, Block: 7}},
		{in: "\x00\x05\x00\x08User aborted the transfer\x00", want: Packet{Op: OpError, Code: 8, Message: "User aborted the transfer"}},
		{in: "\x00\x05\x00\x00no NUL", want: Packet{Op: OpError, Message: "no NUL"}},
		{in: "\x00\x06", want: Packet{Op: OpOack}},
		{in: "\x00\x06blksize\x001468\x00", want: Packet{Op: OpOack, Options: []Option{{"blksize", "1468"}}}},
	} {
		got, err := Parse([]byte(c.in))
		if (err != nil) != c.bad || (err == nil && !reflect.DeepEqual(got, c.want)) {
			t.Errorf("Parse(%.40q) = %+v, %v; want %+v", c.in, got, err, c.want)
		}
	}
}
