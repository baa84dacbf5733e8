package dhcp

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"testing"

	"hyzer/bench/shared"
)

// captured is one DHCP message of the real firmware captures, as their
// manifest describes it.
type captured struct {
	T         float64    `json:"t"`
	Msg       string     `json:"msg"`
	Src       string     `json:"src"`
	Dst       string     `json:"dst"`
	Op        uint8      `json:"op"`
	Secs      uint16     `json:"secs"`
	CIAddr    netip.Addr `json:"ciaddr"`
	YIAddr    netip.Addr `json:"yiaddr"`
	SIAddr    netip.Addr `json:"siaddr"`
	File      string     `json:"file"`
	Arch      *int       `json:"arch"`
	UserClass string     `json:"user_class"`
	Options   [][2]any   `json:"options"`
	Payload   string     `json:"payload_hex"`

	file    string
	payload []byte
	options []capturedOption
}

type capturedOption struct {
	code uint8
	data []byte
}

// capturedMessages reads the messages whose octets the manifest holds.
func capturedMessages(t *testing.T) []captured {
	t.Helper()
	var manifest struct {
		Captures []struct {
			File string     `json:"file"`
			DHCP []captured `json:"dhcp"`
		} `json:"captures"`
	}
	if err := json.Unmarshal(shared.ReadFile(t, "vectors/pxe/MANIFEST.json"), &manifest); err != nil {
		t.Fatal(err)
	}
	var list []captured
	for _, c := range manifest.Captures {
		for _, m := range c.DHCP {
			if m.Payload == "" {
				continue
			}
			m.file = c.File
			m.payload = unhex(t, m.Payload)
			for _, o := range m.Options {
				m.options = append(m.options, capturedOption{uint8(o[0].(float64)), unhex(t, o[1].(string))})
			}
			list = append(list, m)
		}
	}
	return list
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
