package wire_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"hyzer/bench/shared"
	"hyzer/multicast/internal/pcaptest"
	"hyzer/multicast/wire"
)

// reencode decodes a datagram completely and encodes it again.
func reencode(datagram []byte) ([]byte, error) {
	h, body, err := wire.Split(datagram)
	if err != nil {
		return nil, err
	}
	switch h.Subtype {
	case wire.SubJoin:
		m, err := wire.ParseJoin(body)
		return m.Append(nil, h.Type, h.SrcIP), err
	case wire.SubJoin2:
		m, err := wire.ParseJoin2(body)
		return m.Append(nil, h.Type, h.SrcIP), err
	case wire.SubBlock:
		m, err := wire.ParseBlock(body)
		return m.Append(nil, h.SrcIP), err
	case wire.SubRequest:
		m, err := wire.ParseRequest(body)
		return m.Append(nil, h.SrcIP), err
	case wire.SubPRequest:
		var m wire.PartialRequest
		err := wire.ParsePartialRequest(&m, body)
		return m.Append(nil, h.SrcIP), err
	case wire.SubLeave:
		m, err := wire.ParseLeave(body)
		return m.Append(nil, h.SrcIP), err
	case wire.SubLeave2:
		m, err := wire.ParseLeave2(body)
		return m.Append(nil, h.SrcIP), err
	case wire.SubProgress:
		var m wire.Progress
		err := wire.ParseProgress(&m, h.Type, body)
		return m.Append(nil, h.Type, h.SrcIP), err
	}
	return nil, fmt.Errorf("no codec for %v", h.Subtype)
}

// reencodeMaster does the same for a message of the master server.
func reencodeMaster(msg []byte) ([]byte, error) {
	t, err := wire.ParseMasterHeader(msg)
	if err != nil {
		return nil, err
	}
	switch t {
	case wire.MasterGetRequest:
		m, err := wire.ParseGetRequest(msg)
		if err != nil {
			return nil, err
		}
		return m.Append(nil)
	case wire.MasterGetReply:
		m, err := wire.ParseGetReply(msg)
		return m.Append(nil), err
	case wire.MasterPutRequest:
		m, err := wire.ParsePutRequest(msg)
		if err != nil {
			return nil, err
		}
		return m.Append(nil)
	default:
		m, err := wire.ParsePutReply(msg)
		return m.Append(nil), err
	}
}

func TestCapturesRoundTrip(t *testing.T) {
	t.Parallel()
	roundTripAll(t, "testdata")
}

func TestSharedCapturesRoundTrip(t *testing.T) {
	t.Parallel()
	roundTripAll(t, shared.Path(t, "vectors/frisbee"))
}

func roundTripAll(t *testing.T, dir string) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.pcap.gz"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no captures in %s: %v", dir, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			packets := pcaptest.Read(t, path)
			if n := roundTripUDP(t, packets) + roundTripMaster(t, packets); n == 0 {
				t.Fatal("no frisbee packets in the capture")
			}
		})
	}
}

func roundTripUDP(t *testing.T, packets []pcaptest.Packet) (n int) {
	t.Helper()
	for i, p := range pcaptest.UDP(packets) {
		if p.Src.Port() != p.Dst.Port() {
			continue // not of a session (A1.1)
		}
		got, err := reencode(p.Payload)
		if err != nil || !bytes.Equal(got, p.Payload) {
			t.Fatalf("datagram %d from %v: err %v\n got %x\nwant %x", i, p.Src, err, got, p.Payload)
		}
		n++
	}
	return n
}

func roundTripMaster(t *testing.T, packets []pcaptest.Packet) (n int) {
	t.Helper()
	for i, p := range pcaptest.TCP(packets) {
		if p.Src.Port() != wire.MasterPort && p.Dst.Port() != wire.MasterPort {
			continue // an upload's bytes
		}
		got, err := reencodeMaster(p.Payload)
		if err != nil || !bytes.Equal(got, p.Payload) {
			t.Fatalf("TCP message %d from %v: err %v\n got %x\nwant %x", i, p.Src, err, got, p.Payload)
		}
		n++
	}
	return n
}
