package diskloader

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseLoadInfo(t *testing.T) {
	t.Parallel()
	boss := netip.MustParseAddr("10.0.0.1")
	for _, test := range []struct {
		name, reply string
		want        []Image
		err         string
	}{
		{"nothing", "\n", nil, ""},
		{"whole disk", "ADDR= PART=0 PARTOS=Linux SERVER=10.0.0.1 OSVERSION=24 BOOTPART=1 DISK=vda ZFILL=0 ACPI=unknown MBRVERS=3 ASF=unknown PREPARE=0 NOCLFLUSH=unknown HEARTBEAT=5 IMAGEID=emulab-ops,emulab-ops,LINUX-STD IMAGECHUNKS=19\n",
			[]Image{{Server: boss, ID: "emulab-ops,emulab-ops,LINUX-STD", Disk: "vda", Chunks: 19, Heartbeat: 5 * time.Second}}, ""},
		{"two images", "ADDR=239.1.2.3:4000 PART=1 ZFILL=2 PREPARE=1\nADDR= PART=2 ZFILL=1 DISK=ad0\n",
			[]Image{{Addr: "239.1.2.3:4000", Part: 1, ZeroFill: ZeroDisk, Prepare: true}, {Part: 2, ZeroFill: ZeroFree, Disk: "ad0"}}, ""},
		{"no part", "ADDR= ZFILL=0\n", nil, "line 1: no PART="},
		{"part too high", "PART=1000\n", nil, "PART=1000: want 0 to 128"},
		{"negative", "PART=0 IMAGECHUNKS=-1\n", nil, "IMAGECHUNKS=-1"},
		{"no number", "PART=one\n", nil, "PART=one"},
		{"path for a disk", "PART=0 DISK=../etc/passwd\n", nil, "no name of a disk"},
		{"short key", "PART=0 MCASTKEY=c0ffee\n", nil, "32 bytes"},
		{"key is no hex", "PART=0 MCASTKEY=xyzzy\n", nil, "MCASTKEY: "},
		{"no server", "PART=0 SERVER=boss\n", nil, "SERVER=boss is no address"},
		{"word", "PART=0 hello\n", nil, `word "hello"`},
		{"second line", "PART=0\nPART=x\n", nil, "line 2"},
		{"too many images", strings.Repeat("PART=0\n", imagesMax+1), nil, "more than 16 images"},
		{"too many keys", "A=1 " + manyKeys() + "\n", nil, "at most 64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseLoadInfo(test.reply)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
	if _, err := ParseLoadInfo("ADDR=/NEWER-MFS-NEEDED PART=0\n"); !errors.Is(err, errOldLoader) {
		t.Errorf("error %v, want %v", err, errOldLoader)
	}
}

// TestParseKey: a key is read, and not shown in errors.
func TestParseKey(t *testing.T) {
	t.Parallel()
	got, err := ParseLoadInfo("PART=0 MCASTKEY=" + strings.Repeat("0a", 32) + "\n")
	if err != nil || len(got) != 1 || got[0].Key == nil || got[0].Key[31] != 10 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func manyKeys() string {
	var b strings.Builder
	for i := range lineKeysMax {
		b.WriteString("K" + strings.Repeat("x", i) + "=1 ")
	}
	return b.String()
}
