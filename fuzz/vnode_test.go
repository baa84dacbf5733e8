package fuzz

import (
	"strings"
	"testing"

	"hyzer/bench/vnode"
)

// FuzzLoadInfo reads what tmcd may say to a disk loader. Whatever is accepted
// is within bounds.
func FuzzLoadInfo(f *testing.F) {
	f.Add("ADDR= PART=2 PARTOS=Linux SERVER=127.0.0.1 OSVERSION=20.04 DISK=sd0 ZFILL=0 ACPI=unknown MBRVERS=3 ASF=unknown PREPARE=1 NOCLFLUSH=unknown DOM0MEM=1024M IMAGEID=emulab-ops,emulab-ops,UBUNTU20-64-STD IMAGEMTIME=1620284889 IMAGECHUNKS=1025 PATH=/usr/testbed/images/UBUNTU20-64-STD.ndz\n")
	f.Add("ADDR=/NEWER-MFS-NEEDED PART=0 PARTOS=Bogus\n")
	f.Add("ADDR=239.1.2.3:4567 PART=0 ZFILL=2 HEARTBEAT=5\nPART=1\n")
	f.Fuzz(func(t *testing.T, reply string) {
		images, err := vnode.ParseLoadInfo(reply)
		if err != nil {
			return
		}
		if len(images) > 16 {
			t.Errorf("%d images", len(images))
		}
		for _, i := range images {
			if i.Part < 0 || i.Part > 128 || i.ZeroFill < 0 || i.ZeroFill > 2 || i.Chunks < 0 || i.Chunks > 1<<21 || i.Heartbeat < 0 || i.Heartbeat > 3600 {
				t.Errorf("out of bounds: %+v", i)
			}
			if i.ImageID != i.Keys["IMAGEID"] {
				t.Errorf("image %q, key %q", i.ImageID, i.Keys["IMAGEID"])
			}
		}
	})
}

// FuzzFullConfig splits replies, and puts what was accepted together again.
func FuzzFullConfig(f *testing.F) {
	f.Add("*** nodeid\npc1\n*** nodeid\n*** rpms\n*** rpms\n")
	f.Add("*** a\n*** b\nx\n*** a\n")
	f.Fuzz(func(t *testing.T, reply string) {
		parts, err := vnode.ParseFullConfig(reply)
		if err != nil {
			return
		}
		for command, text := range parts {
			again, err := vnode.ParseFullConfig("*** " + command + "\n" + text + "*** " + command + "\n")
			if err != nil || again[command] != text {
				t.Errorf("%q: %q became %q, %v", command, text, again[command], err)
			}
		}
	})
}

// FuzzFault reads faults and writes them again.
func FuzzFault(f *testing.F) {
	for _, text := range []string{"", "dhcp", "hang@tbsetup:3", "slowdisk=77:1", "slowdisk"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := vnode.ParseFault(text)
		if err != nil {
			return
		}
		again, err := vnode.ParseFault(fault.String())
		if err != nil || again.String() != fault.String() {
			t.Errorf("%q: %q became %q, %v", text, fault, again, err)
		}
		if len(fault.String()) > len(text)+32 || strings.ContainsAny(fault.String(), "\n ") {
			t.Errorf("%q: %q", text, fault)
		}
	})
}
