package mfs

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestParams(t *testing.T) {
	t.Parallel()
	p := parseParams("BOOT_IMAGE=vmlinuz console=tty0 console=ttyS0,115200 quiet root=/dev/vda1 rw BOOTIF=01-02-48-59-00-00-01 panic=10\n")
	for name, want := range map[string]string{"root": "/dev/vda1", "console": "ttyS0,115200", "quiet": "", "nothing": "", "panic": "10"} {
		if got := p.get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if !p.has("rw") || p.has("ro") || p.has("root") {
		t.Error("has takes the wrong words")
	}
	if got, want := p.kept(), []string{"console=tty0", "console=ttyS0,115200", "quiet", "panic=10"}; !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
}

// TestChooseDisk never takes another disk than the one that is meant.
func TestChooseDisk(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ disks, name, want string }{
		{"vda vdb", "", "vda"}, {"vda vdb", "vdb", "vdb"}, {"vda vdb", "ad0", "vda"}, {"vda vdb", "da1", "vdb"},
		{"nvme0n1", "nvme0n1", "nvme0n1"}, {"vda vdb", "da2", ""}, {"vda", "vdc", ""}, {"vda", "sda", ""}, {"", "", ""}, {"vda", "ad99999999999999999999", ""},
	} {
		got, err := chooseDisk(strings.Fields(test.disks), test.name)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("disk %q of %q: %q, %v, want %q", test.name, test.disks, got, err, test.want)
		}
	}
}

// sysfs makes a folder as /sys/block has it: disks by name with the files in
// each.
func sysfs(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestListDisks(t *testing.T) {
	t.Parallel()
	sys := sysfs(t, map[string]string{
		"vdb/device/x": "", "vdaa/device/x": "", "vda/device/x": "", "vda/removable": "0\n", "vda/vda1/partition": "1\n", "vda/vda3/partition": "3\n",
		"sr0/device/x": "", "sr0/removable": "1\n", "loop0/size": "0\n", "nvme0n1/device/x": "", "nvme0n1/nvme0n1p2/partition": "2\n",
	})
	disks, err := listDisks(sys)
	if want := []string{"vda", "vdb", "vdaa", "nvme0n1"}; err != nil || !slices.Equal(disks, want) {
		t.Errorf("disks %v, %v, want %v", disks, err, want)
	}
	for _, test := range []struct {
		disk   string
		number int
		want   string
	}{{"vda", 1, "vda1"}, {"vda", 3, "vda3"}, {"vda", 2, ""}, {"nvme0n1", 2, "nvme0n1p2"}, {"vdz", 1, ""}} {
		got, err := partitionDevice(sys, test.disk, test.number)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("partition %d of %s: %q, %v, want %q", test.number, test.disk, got, err, test.want)
		}
	}
}

func TestDiskTypes(t *testing.T) {
	t.Parallel()
	const known = "nodev\tsysfs\nnodev\tproc\n\text3\n\text2\n\text4\n\txfs\n"
	if got, want := diskTypes(known), []string{"ext4", "ext3", "ext2", "xfs"}; !slices.Equal(got, want) {
		t.Errorf("types %v, want %v", got, want)
	}
}

// TestRouteMessage compares with the layout of rtnetlink(7), on a little-endian
// machine.
func TestRouteMessage(t *testing.T) {
	t.Parallel()
	got := routeMessage(netip.MustParseAddr("10.0.0.1"), 2)
	want := []byte{
		44, 0, 0, 0, 24, 0, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0, // RTM_NEWROUTE, request ack excl create
		2, 0, 0, 0, 254, 16, 0, 1, 0, 0, 0, 0, // AF_INET, main table, DHCP, universe, unicast
		8, 0, 5, 0, 10, 0, 0, 1, // RTA_GATEWAY
		8, 0, 4, 0, 2, 0, 0, 0, // RTA_OIF
	}
	if !bytes.Equal(got, want) {
		t.Errorf("message is\n%v, want\n%v", got, want)
	}
}

func TestBootedFirst(t *testing.T) {
	t.Parallel()
	links := []net.Interface{{Name: "a", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}, {Name: "b", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 0xab}}, {Name: "c", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 3}}}
	for bootif, want := range map[string]string{"": "abc", "01-02-00-00-00-00-AB": "bac", "01-02-00-00-00-00-03": "cab", "01-02-00-00-00-00-01": "abc", "02:00:00:00:00:03": "cab", "junk": "abc"} {
		got := ""
		for _, l := range bootedFirst(links, bootif) {
			got += l.Name
		}
		if got != want {
			t.Errorf("BOOTIF=%s: order %s, want %s", bootif, got, want)
		}
	}
}
