package peer

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"hyzer/netsvc/dhcp"
)

// FuzzAgainstOracle: where the library's reading is defined, ours is the same.
// It is not where the library knows no option overload (52) or wants an END
// that may be missing, nor beyond our limits.
func FuzzAgainstOracle(f *testing.F) {
	files, err := filepath.Glob("../testdata/req-*.bin")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(append(bytes.Clone(data[:240]), 53, 1, 3, 12, 1, 'a', 0, 12, 2, 'b', 'c', 255))
		f.Add(append(bytes.Clone(data[:240]), 61, 0, 53, 1, 1, 53, 1, 1, 255))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours dhcp.Packet
		ourErr := ours.Parse(data)
		theirs, theirErr := dhcpv4.FromBytes(data)
		switch {
		case theirErr == nil && ourErr != nil:
			if !stricter(data) {
				t.Fatalf("we refuse what the library reads: %v", ourErr)
			}
		case ourErr == nil && theirErr != nil:
			if _, overloaded := ours.Option(dhcp.OptOverload); !overloaded && endsProperly(data) {
				t.Fatalf("we read what the library refuses: %v", theirErr)
			}
		case ourErr == nil:
			compare(t, &ours, theirs)
		}
	})
}

// stricter reports where we refuse more on purpose: hlen, size, fragments, and
// overloaded fields that are broken.
func stricter(data []byte) bool {
	if data[2] > 16 || len(data) > 2048 {
		return true
	}
	options := 0
	for rest := data[240:]; len(rest) > 1 && rest[0] != 255; {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		if rest[0] == dhcp.OptOverload {
			return true
		}
		options++
		rest = rest[min(len(rest), 2+int(rest[1])):]
	}
	return options > 255
}

// endsProperly reports whether the options field has an END.
func endsProperly(data []byte) bool {
	for rest := data[240:]; len(rest) > 0; {
		switch {
		case rest[0] == 255:
			return true
		case rest[0] == 0:
			rest = rest[1:]
		case len(rest) < 2 || len(rest) < 2+int(rest[1]):
			return false
		default:
			rest = rest[2+int(rest[1]):]
		}
	}
	return false
}

func compare(t *testing.T, ours *dhcp.Packet, theirs *dhcpv4.DHCPv4) {
	t.Helper()
	if ours.Op() != uint8(theirs.OpCode) || ours.Flags() != theirs.Flags || ours.Hops() != theirs.HopCount || ours.Secs() != theirs.NumSeconds {
		t.Errorf("header: op %d flags %x hops %d secs %d, library %v", ours.Op(), ours.Flags(), ours.Hops(), ours.Secs(), theirs)
	}
	if xid := theirs.TransactionID; ours.XID() != uint32(xid[0])<<24|uint32(xid[1])<<16|uint32(xid[2])<<8|uint32(xid[3]) {
		t.Errorf("xid %x, library %v", ours.XID(), xid)
	}
	for _, a := range [...]struct {
		ours   [4]byte
		theirs []byte
	}{
		{ours.CIAddr().As4(), theirs.ClientIPAddr}, {ours.YIAddr().As4(), theirs.YourIPAddr},
		{ours.SIAddr().As4(), theirs.ServerIPAddr}, {ours.GIAddr().As4(), theirs.GatewayIPAddr},
	} {
		if !bytes.Equal(a.ours[:], a.theirs) {
			t.Errorf("address %v, library %v", a.ours, a.theirs)
		}
	}
	if ours.HLen() <= 16 && !bytes.Equal(ours.CHAddr(), theirs.ClientHWAddr) {
		t.Errorf("chaddr %x, library %x", ours.CHAddr(), theirs.ClientHWAddr)
	}
	if _, overloaded := ours.Option(dhcp.OptOverload); overloaded {
		return
	}
	if uint8(ours.Type()) != uint8(theirs.MessageType()) {
		t.Errorf("type %s, library %s", ours.Type(), theirs.MessageType())
	}
	for code := range 255 {
		got, ok := ours.Option(uint8(code))
		want, has := theirs.Options[uint8(code)]
		if ok != has || !bytes.Equal(got, want) {
			t.Errorf("option %d: %x %v, library %x %v", code, got, ok, want, has)
		}
	}
}

// TestRepliesReadable: what we send, the library reads the same.
func TestRepliesReadable(t *testing.T) {
	t.Parallel()
	site := newSite(t)
	files, err := filepath.Glob("../testdata/req-*.bin")
	if err != nil || len(files) == 0 {
		t.Fatalf("no requests: %v", err)
	}
	answered := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		reply := site.answer(t, data)
		if reply == nil {
			continue
		}
		answered++
		theirs, err := dhcpv4.FromBytes(reply)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var ours dhcp.Packet
		if err := ours.Parse(reply); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		compare(t, &ours, theirs)
	}
	if answered < 8 {
		t.Errorf("only %d of %d requests answered", answered, len(files))
	}
}
