package qemu_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hyzer/bench/qemu"
	"hyzer/bench/site"
)

// token is on the disk image and nowhere else.
const token = "the disk that hyzer loaded"

// systemImage makes an image of a system that boots: the same kernel and RAM
// disk, started by extlinux's menu, and the node's program as init.
func systemImage(t *testing.T, m *tools) *site.Image {
	t.Helper()
	files, total := t.TempDir(), int64(0)
	add := func(name string, mode os.FileMode, data []byte) {
		path := filepath.Join(files, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, mode)); err != nil {
			t.Fatal(err)
		}
		total += int64(len(data))
	}
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	add("boot/vmlinuz", 0o644, read(m.kernel.Image))
	add("boot/initrd.img", 0o644, read(m.initrd))
	add("boot/extlinux/extlinux.conf", 0o644, []byte("DEFAULT linux\nLABEL linux\n  LINUX ../vmlinuz\n  INITRD ../initrd.img\n"+
		"  APPEND root=/dev/vda1 ro "+kernelWords+"\n"))
	add("sbin/init", 0o755, read(m.node))
	add("etc/issue", 0o644, []byte(token+"\n"))
	for _, mountPoint := range []string{"dev", "proc", "sys"} {
		add(mountPoint+"/.keep", 0o644, []byte("a file, so that the folder is made\n"))
	}
	image, err := site.MakeImage(t.Context(), site.ImageOptions{
		Dir: t.TempDir(), Files: files, ContentBytes: total + 1, DiskBytes: total + 24<<20,
	})
	if errors.Is(err, site.ErrNoTools) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// TestWholeStory loads the empty disk of a machine that is off, with the
// operator's command, and sees the appliance drive it until the system on that
// disk is up.
func TestWholeStory(t *testing.T) {
	m := needTools(t)
	image := systemImage(t, m)
	for _, test := range []struct {
		name     string
		firmware qemu.Firmware
	}{{"BIOS", qemu.BIOS}, {"UEFI", qemu.UEFI}} {
		t.Run(test.name, func(t *testing.T) { tellStory(t, m, image, test.firmware) })
	}
}

func tellStory(t *testing.T, m *tools, image *site.Image, firmware qemu.Firmware) {
	l := start(t, m, qemu.Options{Firmware: firmware, BootFiles: bootFiles, Image: image, DiskBytes: image.DiskBytes + 8<<20})
	loaded := load(t, m, l, "--boot")
	at := expect(t, l, 0, bootTimeout, "boot.ipxe", `msg="disk loader"`, "state=RELOADSETUP", "state=RELOADING",
		`msg="image is on the disk"`)
	// It reports RELOADDONEV2, and the server switches its power perhaps before
	// it can print so. Then it boots its disk.
	expect(t, l, at, bootTimeout, "boot.ipxe", `msg="starting the system"`, `msg="system on the disk" issue="`+token+`"`, `msg="the system is up"`)
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	awaitState(t, l, "NORMALv2/ISUP")
	wantStates(t, states(t, l), "PXEKERNEL/PXEBOOTING", "RELOAD/BOOTING", "RELOAD/RELOADSETUP", "RELOAD/RELOADING", "RELOAD/RELOADDONEV2",
		"NORMALv2/SHUTDOWN", "PXEKERNEL/PXEBOOTING", "NORMALv2/BOOTING", "NORMALv2/TBSETUP", "NORMALv2/ISUP")
	l.Machine.PowerOff()
	if err := image.VerifyFile(l.Disk, 0); err != nil {
		t.Error(err)
	}
	if err := site.Fsck(t.Context(), l.Disk, 1<<20); err != nil {
		t.Error(err)
	}
}

// bootFiles make every firmware run iPXE's script.
var bootFiles = map[string]string{"ipxe": "/tftpboot/boot.ipxe", "efi-x64": "/tftpboot/snponly.efi"}

// load runs the operator's command; what became of it is in the channel when it
// has ended.
func load(t *testing.T, m *tools, l *qemu.Lab, flags ...string) <-chan error {
	t.Helper()
	args := append([]string{"--control", l.Config.Control, "load"}, append(flags, site.DiskImage, l.Machine.Name())...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*bootTimeout)
	cmd := exec.CommandContext(ctx, m.hyzer, args...)
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("hyzer load: %w: %s", err, out)
		}
		ended <- err
	}()
	return ended
}

// TestWake loads a machine that waits in the memory file system: the server's
// order is enough, and its firmware does not run.
func TestWake(t *testing.T) {
	m := needTools(t)
	image := systemImage(t, m)
	l := start(t, m, qemu.Options{BootFiles: bootFiles, Image: image, DiskBytes: image.DiskBytes})
	l.Machine.PowerOn()
	at := expect(t, l, 0, bootTimeout, "boot.ipxe", "msg=address")
	awaitState(t, l, "PXEKERNEL/PXEWAIT")
	loaded := load(t, m, l)
	expect(t, l, at, bootTimeout, `msg="disk loader"`, `msg="image is on the disk"`)
	if before, _, _ := strings.Cut(l.Machine.Console.Text(), "disk loader"); strings.Count(before, "boot.ipxe :") != 1 {
		t.Error("the machine ran its firmware again before it loaded")
	}
	if err := <-loaded; err != nil {
		t.Error(err)
	}
	wantStates(t, states(t, l), "PXEKERNEL/PXEWAIT", "PXEKERNEL/PXEWAKEUP", "RELOAD/RELOADSETUP", "RELOAD/RELOADDONEV2")
}

// TestLoadFails loads an image that is larger than the machine's disk: the
// server gets the reason, the boot log and the errno, and the load ends at once.
func TestLoadFails(t *testing.T) {
	m := needTools(t)
	l := start(t, m, qemu.Options{BootFiles: bootFiles, Image: systemImage(t, m), DiskBytes: 16 << 20})
	err := <-load(t, m, l)
	if err == nil || !strings.Contains(err.Error(), "TBFAILED") {
		t.Fatalf("%v, want a load that fails with TBFAILED", err)
	}
	awaitState(t, l, "RELOAD/TBFAILED")
	var node struct {
		Runtime struct {
			BootErrno int `json:"boot_errno"`
		} `json:"runtime"`
	}
	path := "/v1/nodes/" + l.Machine.Name()
	if err := l.Control.Call(t.Context(), http.MethodGet, path, nil, &node); err != nil {
		t.Fatal(err)
	}
	if node.Runtime.BootErrno != 1 {
		t.Errorf("errno is %d, want 1", node.Runtime.BootErrno)
	}
	var text strings.Builder
	if err := l.Control.Copy(t.Context(), http.MethodGet, path+"/boot?id=", nil, &text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"msg=address", "state=RELOADING", "level=ERROR msg=failed"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("boot log has no %q:\n%s", want, text.String())
		}
	}
}

// wantStates checks that states came in this order, others between them or
// not.
func wantStates(t *testing.T, got []string, want ...string) {
	t.Helper()
	rest := got
	for _, w := range want {
		i := slices.Index(rest, w)
		if i < 0 {
			t.Errorf("no %s where it should be in %v", w, got)
			return
		}
		rest = rest[i+1:]
	}
}
