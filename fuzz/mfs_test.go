package fuzz

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"hyzer/netsvc/dhcp"
	"hyzer/netsvc/dhcp/client"
	"hyzer/netsvc/diskloader"
	"hyzer/netsvc/mfs"
)

// FuzzLoaderInfo: what a loader believes of a reply is within its bounds.
func FuzzLoaderInfo(f *testing.F) {
	for _, seed := range []string{
		"ADDR= PART=0 PARTOS=Linux SERVER=10.0.0.1 DISK=vda ZFILL=0 PREPARE=0 HEARTBEAT=5 IMAGEID=p,g,n IMAGECHUNKS=19\n",
		"ADDR=239.1.2.3:4000 PART=1 ZFILL=2 PREPARE=1\nADDR= PART=2 ZFILL=1 DISK=ad0\n", "ADDR=/NEWER-MFS-NEEDED\n", "\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		images, err := diskloader.ParseLoadInfo(reply)
		if err != nil {
			return
		}
		if len(images) > 16 {
			t.Errorf("%d images", len(images))
		}
		for _, i := range images {
			if i.Part < 0 || i.Part > 128 || i.ZeroFill < diskloader.ZeroNothing || i.ZeroFill > diskloader.ZeroDisk || i.Chunks < 0 || i.Heartbeat < 0 {
				t.Errorf("out of bounds: %+v", i)
			}
			if strings.ContainsAny(i.Disk, "/.") {
				t.Errorf("disk %q is a path", i.Disk)
			}
		}
	})
}

// FuzzBootMenu: an entry names files below the file system it is from.
func FuzzBootMenu(f *testing.F) {
	f.Add("DEFAULT a\nLABEL a\n  LINUX ../vmlinuz\n  INITRD ../initrd\n  APPEND root=/dev/sda1 ro\n")
	f.Add("label b\nkernel /../../k\nappend initrd=/x y=1\n")
	f.Fuzz(func(t *testing.T, menu string) {
		root := fstest.MapFS{"boot/extlinux/extlinux.conf": {Data: []byte(menu)}}
		e, err := mfs.FindEntry(root, "/dev/vda1", nil)
		if err != nil {
			return
		}
		for _, name := range []string{e.Kernel, e.Initrd} {
			if strings.HasPrefix(name, "/") || slices.Contains(strings.Split(name, "/"), "..") {
				t.Errorf("%q is outside of the file system", name)
			}
		}
		if e.Kernel == "" {
			t.Error("an entry without a kernel")
		}
	})
}

// FuzzLease: a lease that is taken can be used.
func FuzzLease(f *testing.F) {
	offer := make([]byte, 240)
	offer[0], offer[1], offer[2], offer[16] = 2, 1, 6, 10
	copy(offer[236:], "\x63\x82\x53\x63")
	f.Add(append(offer, "\x35\x01\x05\x36\x04\x0a\x00\x00\x01\x01\x04\xff\xff\xff\x00\x33\x04\x00\x00\x0e\x10\xff"...))
	f.Add(client.Message{Type: dhcp.Discover, XID: 1}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p dhcp.Packet
		if p.Parse(b) != nil {
			return
		}
		l, err := client.ReadLease(&p)
		if err != nil {
			return
		}
		if l.IP.IsUnspecified() || !l.Mask.Is4() || !l.Server.Is4() || !l.Next.Is4() || len(l.DNS) > 3 {
			t.Errorf("lease %+v", l)
		}
		if l.Renew > l.Time || l.Rebind > l.Time {
			t.Errorf("renews after %v and %v of %v", l.Renew, l.Rebind, l.Time)
		}
	})
}

// FuzzClientMessage: the server reads what the client wrote.
func FuzzClientMessage(f *testing.F) {
	f.Add(uint32(1), uint16(2), true, []byte{10, 0, 0, 5})
	f.Fuzz(func(t *testing.T, xid uint32, secs uint16, broadcast bool, addr []byte) {
		m := client.Message{Type: dhcp.Request, XID: xid, MAC: [6]byte{2, 1}, Secs: secs, Broadcast: broadcast}
		if a, ok := netip.AddrFromSlice(addr); ok && a.Is4() {
			m.Requested = a
		}
		var p dhcp.Packet
		if err := p.Parse(m.Append(nil)); err != nil {
			t.Fatal(err)
		}
		requested, _ := p.AddrOption(dhcp.OptRequestedAddress)
		if p.Type() != m.Type || p.XID() != xid || p.Secs() != secs || requested != m.Requested {
			t.Errorf("read %v %x %d %v, wrote %+v", p.Type(), p.XID(), p.Secs(), requested, m)
		}
	})
}
