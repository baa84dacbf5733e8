package fuzz

import (
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hyzer/bench/shared"
	"hyzer/netsvc/bootfiles"
	"hyzer/netsvc/tftp"
)

// FuzzTFTPParse: no packet panics, what is parsed is no larger than the packet,
// and writing it again and reading that gives the same packet.
func FuzzTFTPParse(f *testing.F) {
	for _, seed := range tftpSeeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := tftp.Parse(b)
		if err != nil {
			return
		}
		held := len(p.Name) + len(p.Mode) + len(p.Data) + len(p.Message)
		for _, o := range p.Options {
			held += len(o.Name) + len(o.Value)
		}
		if held > len(b) {
			t.Fatalf("%d bytes held of a packet of %d", held, len(b))
		}
		again, err := tftp.Parse(p.Append(nil))
		if err != nil {
			t.Fatalf("our own packet: %v", err)
		}
		if len(p.Data) == 0 && len(again.Data) == 0 {
			p.Data, again.Data = nil, nil
		}
		if !reflect.DeepEqual(p, again) {
			t.Fatalf("read %+v, after writing %+v", p, again)
		}
	})
}

func tftpSeeds(f *testing.F) [][]byte {
	seeds := [][]byte{
		[]byte("\x00\x01f\x00octet\x00blksize\x00"),
		[]byte("\x00\x02f\x00netascii\x00tsize\x001\x00"),
		[]byte("\x00\x03\xff\xffdata"),
		[]byte("\x00\x04\x00\x00"),
		[]byte("\x00\x05\x00\x08User aborted the transfer\x00"),
		[]byte("\x00\x06blksize\x001468\x00windowsize\x004\x00"),
	}
	var manifest struct {
		Captures []struct {
			TFTP []struct {
				PayloadHex string `json:"payload_hex"`
			} `json:"tftp"`
		} `json:"captures"`
	}
	if err := json.Unmarshal(shared.ReadFile(f, "vectors/pxe/MANIFEST.json"), &manifest); err != nil {
		f.Fatal(err)
	}
	for _, capture := range manifest.Captures {
		for _, dialogue := range capture.TFTP {
			b, err := hex.DecodeString(dialogue.PayloadHex)
			if err != nil {
				f.Fatal(err)
			}
			seeds = append(seeds, b)
		}
	}
	return seeds
}

// FuzzBootFileName: a name that is accepted stays below the root, and cleaning
// it again changes nothing.
func FuzzBootFileName(f *testing.F) {
	for _, name := range []string{
		"pxeboot.emu\xff", "/tftpboot/pxeboot.emu", "//grub/./x", "../x", "a/../../x", "..\\x", "%2e%2e/x", "/tftpboot//tftpboot/x",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		clean, err := bootfiles.CleanName(name)
		if err != nil {
			return
		}
		if !filepath.IsLocal(clean) || strings.HasPrefix(clean, "/") || strings.ContainsAny(clean, "\x00\n\\") {
			t.Fatalf("%q became %q", name, clean)
		}
		if again, err := bootfiles.CleanName(clean); err != nil || again != clean {
			t.Fatalf("%q became %q and then %q, %v", name, clean, again, err)
		}
	})
}
