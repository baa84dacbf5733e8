package igmp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"hyzer/bench/shared"
)

// TestCaptured compares with the reports of the C programs in a capture.
func TestCaptured(t *testing.T) {
	t.Parallel()
	data := shared.ReadGzip(t, "vectors/frisbee/heartbeat.server.pcap.gz")
	reports := 0
	for at := 24; at+16 <= len(data); {
		n := int(binary.LittleEndian.Uint32(data[at+8:]))
		frame := data[at+16 : at+16+n]
		at += 16 + n
		if len(frame) < 14+32 || binary.BigEndian.Uint16(frame[12:]) != 0x0800 || frame[14+9] != 2 {
			continue
		}
		packet := frame[14:]
		head := int(packet[0]&15) * 4
		length := int(binary.BigEndian.Uint16(packet[2:]))
		m, err := Parse(packet[head:length])
		if err != nil {
			t.Errorf("% x: %v", packet, err)
			continue
		}
		if m.Type != ReportV2 || length != 32 {
			continue // the kernel's own
		}
		reports++
		if got := m.Append(nil); !bytes.Equal(got, packet[head:length]) || !m.Group.IsMulticast() {
			t.Errorf("%+v: % x, want % x", m, got, packet[head:length])
		}
		if packet[8] != 1 || !bytes.Equal(packet[20:24], []byte{0x94, 4, 0, 0}) || netip.AddrFrom4([4]byte(packet[16:20])) != m.Group {
			t.Errorf("IP header % x", packet[:head])
		}
	}
	if reports == 0 {
		t.Fatal("no report in the capture")
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	good := Message{Type: Query, Code: 100, Group: netip.IPv4Unspecified()}.Append(nil)
	if m, err := Parse(append(good, 0, 0)); err != nil || m.Type != Query || m.Code != 100 {
		t.Errorf("%+v, %v", m, err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := Parse(bad); err == nil {
			t.Errorf("byte %d flipped: was taken", i)
		}
		if _, err := Parse(good[:i]); err == nil {
			t.Errorf("%d bytes were taken", i)
		}
	}
}
