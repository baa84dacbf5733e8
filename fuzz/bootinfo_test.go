package fuzz

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"hyzer/bench/shared"
	"hyzer/netsvc/bootinfo"
)

// FuzzBootinfoRequest decodes what a stranger sends to the server.
func FuzzBootinfoRequest(f *testing.F) {
	for _, request := range bootinfoVectors(f, "request_hex") {
		f.Add(request)
	}
	f.Add([]byte{1, 0, 6, 0, 0, 0, 0, 0, 'k'})
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := bootinfo.DecodeRequest(data)
		if err != nil {
			return
		}
		if len(req.Key) > 128 {
			t.Fatalf("key of %d bytes", len(req.Key))
		}
		again, err := bootinfo.DecodeRequest(bootinfo.AppendRequest(nil, req))
		if err != nil || again != req {
			t.Fatalf("%+v comes back as %+v, error %v", req, again, err)
		}
	})
}

// FuzzBootinfoPacket decodes what a client gets, and encodes it again.
func FuzzBootinfoPacket(f *testing.F) {
	for _, reply := range bootinfoVectors(f, "reply_hex") {
		f.Add(reply)
	}
	for kind := range uint16(12) {
		packet := make([]byte, bootinfo.PacketBytes)
		binary.LittleEndian.PutUint16(packet[10:], kind)
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := bootinfo.DecodePacket(data)
		if err != nil {
			return
		}
		packet, err := k.Append(nil)
		if err != nil {
			if len(k.Answer.Path) < 256 {
				t.Fatalf("%+v does not encode: %v", k, err)
			}
			return // a path without its NUL
		}
		if again, err := bootinfo.DecodePacket(packet); err != nil || again != k {
			t.Fatalf("%+v comes back as %+v, error %v", k, again, err)
		}
	})
}

func bootinfoVectors(f *testing.F, field string) (packets [][]byte) {
	path := shared.Path(f, "vectors/tmcd/golden-bootinfo.json")
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(text, &list); err != nil {
		f.Fatal(err)
	}
	for _, x := range list {
		digits, _ := x[field].(string)
		packet, err := hex.DecodeString(digits)
		if err != nil {
			f.Fatal(err)
		}
		packets = append(packets, packet)
	}
	return packets
}
