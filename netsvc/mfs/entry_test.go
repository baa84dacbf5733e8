package mfs

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestFindEntry finds what to start in several file systems.
func TestFindEntry(t *testing.T) {
	t.Parallel()
	const menu = "# comment\nDEFAULT new\nPROMPT 0\nLABEL old\n  KERNEL /vmlinuz.old\nLABEL new\n  LINUX ../vmlinuz\n  INITRD ../initrd\n  APPEND root=/dev/sda1 ro\n"
	for _, test := range []struct {
		name  string
		files map[string]string
		want  Entry
		err   string
	}{
		{"menu in boot", map[string]string{"boot/extlinux/extlinux.conf": menu, "boot/vmlinuz-1": ""},
			Entry{"boot/vmlinuz", "boot/initrd", "root=/dev/sda1 ro"}, ""},
		{"menu without default", map[string]string{"extlinux.conf": "label a\nkernel k\nappend initrd=i x=1\nlabel b\nkernel l\n"},
			Entry{"k", "i", "x=1"}, ""},
		{"default that is not there", map[string]string{"syslinux.cfg": "default c\nlabel a\nkernel k\n"}, Entry{"k", "", ""}, ""},
		{"path that climbs", map[string]string{"extlinux.conf": "label a\nkernel ../../../k\n"}, Entry{"k", "", ""}, ""},
		{"empty menu", map[string]string{"extlinux.conf": "\n"}, Entry{}, "no entry with a kernel"},
		{"entry without kernel", map[string]string{"extlinux.conf": "label a\nappend x\n"}, Entry{}, "no entry with a kernel"},
		{"Debian", map[string]string{"boot/vmlinuz-6.1.0-1": "", "boot/vmlinuz-6.1.0-2": "", "boot/initrd.img-6.1.0-2": ""},
			Entry{"boot/vmlinuz-6.1.0-2", "boot/initrd.img-6.1.0-2", "root=/dev/vda1 ro console=ttyS0"}, ""},
		{"Fedora", map[string]string{"boot/vmlinuz-6.9.fc40": "", "boot/initramfs-6.9.fc40.img": ""},
			Entry{"boot/vmlinuz-6.9.fc40", "boot/initramfs-6.9.fc40.img", "root=/dev/vda1 ro console=ttyS0"}, ""},
		{"kernel alone", map[string]string{"boot/vmlinuz-5": ""}, Entry{"boot/vmlinuz-5", "", "root=/dev/vda1 ro console=ttyS0"}, ""},
		{"nothing", map[string]string{"etc/issue": ""}, Entry{}, "no extlinux.conf and no boot/vmlinuz-*"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := fstest.MapFS{}
			for name, text := range test.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			got, err := FindEntry(root, "/dev/vda1", []string{"console=ttyS0"})
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
