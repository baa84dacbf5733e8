package tftp

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"hyzer/bench/shared"
)

// TestFirmwareDialogues replays every request of the captures and the client's
// packets after it, as far as the capture goes, against this server's machine,
// and compares with what firmware accepted from dnsmasq: the granted options
// (ours also grant the window), the content of each block and the end.
func TestFirmwareDialogues(t *testing.T) {
	t.Parallel()
	var manifest struct {
		Captures []struct {
			File string            `json:"file"`
			TFTP []json.RawMessage `json:"tftp"`
		} `json:"captures"`
	}
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/pxe/MANIFEST.json"), &manifest); err != nil {
		t.Fatal(err)
	}
	dialogues, blocks, probes := 0, 0, 0
	for _, capture := range manifest.Captures {
		if len(capture.TFTP) == 0 {
			continue
		}
		packets := udpPackets(t, shared.ReadFile(t, filepath.Join("vectors/pxe", capture.File)))
		for i, p := range packets {
			if p.to != 69 {
				continue
			}
			r := replay(t, capture.File, packets[i:])
			dialogues++
			blocks += r.blocks
			if r.probe {
				probes++
			}
		}
	}
	if dialogues == 0 || blocks == 0 || probes == 0 {
		t.Errorf("%d dialogues, %d blocks, %d probes replayed", dialogues, blocks, probes)
	}
	t.Logf("%d dialogues, %d blocks, %d probes", dialogues, blocks, probes)
}

type replayed struct {
	blocks int
	probe  bool
}

// replay follows the dialogue that packets[0], an RRQ, starts.
func replay(t *testing.T, file string, packets []udpPacket) (r replayed) {
	t.Helper()
	client := packets[0].from
	request, err := Parse(packets[0].payload)
	if refusal, refused := screen(request, err); refused {
		t.Errorf("%s: %q refused: %s", file, packets[0].payload, refusal.text)
		return r
	}
	var m *transfer
	var pending order
	for _, p := range packets[1:] {
		if p.to == 69 && p.from == client {
			break // the next request from the same port
		}
		if p.from != client && p.to != client {
			continue
		}
		theirs, err := Parse(p.payload)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case p.to == client && theirs.Op == OpOack:
			m = newTransfer(negotiate(request.Options, oackSize(t, theirs, request), offer{1468, windowMaxDefault}))
			pending = m.start(epoch)
			checkOack(t, file, request, theirs.Options, m.accepted)
		case p.to == client && theirs.Op == OpData:
			checkData(t, file, m, &pending, theirs)
			r.blocks++
		case p.from == client && theirs.Op == OpAck:
			pending = m.ack(epoch, theirs.Block)
		case p.from == client && theirs.Op == OpError:
			r.probe = isProbe(m.terms, m.acked, theirs.Code)
			if !r.probe {
				t.Errorf("%s: %s: code %d is no probe", file, request.Name, theirs.Code)
			}
		}
	}
	return r
}

// oackSize is the file's length as dnsmasq told it, or one that is long enough
// for the few captured blocks where the client did not ask.
func oackSize(t *testing.T, oack, request Packet) int64 {
	t.Helper()
	r := newReceiver(request.Options)
	if out := r.oack(oack.Options); out.err != nil {
		t.Fatalf("our client refuses dnsmasq's OACK: %v", out.err)
	}
	if r.sizeBytes < 0 {
		return 1 << 20
	}
	return r.sizeBytes
}

func checkOack(t *testing.T, file string, request Packet, theirs, ours []Option) {
	t.Helper()
	if len(ours) != len(request.Options) {
		t.Errorf("%s: %s: asked %v, granted %v", file, request.Name, request.Options, ours)
	}
	granted := map[string]string{}
	for _, o := range ours {
		granted[o.Name] = o.Value
	}
	for _, o := range theirs {
		if granted[o.Name] != o.Value {
			t.Errorf("%s: %s: firmware accepted %s=%s, we grant %q", file, request.Name, o.Name, o.Value, granted[o.Name])
		}
	}
}

// checkData compares a captured block with the one ordered by our machine. A
// client that got a window of 1 acknowledges each block: to our machine those
// ACKs go back, and the next captured block is always the first ordered.
func checkData(t *testing.T, file string, m *transfer, pending *order, theirs Packet) {
	t.Helper()
	if pending.count == 0 || uint16(pending.first) != theirs.Block {
		t.Fatalf("%s: captured block %d, ordered %+v", file, theirs.Block, *pending)
	}
	if _, n := m.span(pending.first, 1); n != len(theirs.Data) {
		t.Errorf("%s: block %d has %d bytes, captured %d", file, theirs.Block, n, len(theirs.Data))
	}
}

type udpPacket struct {
	from, to uint16
	payload  []byte
}

var errPcap = errors.New("not a little-endian Ethernet pcap")

// udpPackets reads the IPv4 UDP packets of a pcap file.
func udpPackets(t *testing.T, b []byte) (packets []udpPacket) {
	t.Helper()
	const fileHeader, recordHeader, etherHeader, udpHeader = 24, 16, 14, 8
	if len(b) < fileHeader || binary.LittleEndian.Uint32(b) != 0xa1b2c3d4 {
		t.Fatal(errPcap)
	}
	for b = b[fileHeader:]; len(b) >= recordHeader; {
		n := int(binary.LittleEndian.Uint32(b[8:]))
		frame := b[recordHeader : recordHeader+n]
		b = b[recordHeader+n:]
		if len(frame) < etherHeader+20 || binary.BigEndian.Uint16(frame[12:]) != 0x0800 || frame[etherHeader+9] != 17 {
			continue
		}
		udp := frame[etherHeader+4*int(frame[etherHeader]&15):]
		length := int(binary.BigEndian.Uint16(udp[4:]))
		packets = append(packets, udpPacket{
			from: binary.BigEndian.Uint16(udp), to: binary.BigEndian.Uint16(udp[2:]), payload: udp[udpHeader:length],
		})
	}
	return packets
}
