package qemu_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hyzer/bench/netns"
	"hyzer/bench/qemu"
	"hyzer/netsvc/control"
	"hyzer/netsvc/lifecycle/wait"
	"hyzer/netsvc/mfs/initramfs"
	"hyzer/storage/registry"
)

// bootTimeout is three times what a boot takes on two busy cores.
const bootTimeout = 4 * time.Minute

// tools are what every test needs, made once.
type tools struct {
	dir            string
	hyzerd, hyzer  string
	node           string // hyzer-node
	kernel         qemu.Kernel
	initrd         string
	script, syslin string // of iPXE and pxelinux
}

// kernelWords are on the command line of the memory file system's kernel.
const kernelWords = "console=ttyS0 quiet panic=10"

var (
	toolsOnce sync.Once
	toolsMade tools
	toolsErr  error
)

// TestMain removes what makeTools left.
func TestMain(m *testing.M) {
	code := m.Run()
	if toolsMade.dir != "" {
		os.RemoveAll(toolsMade.dir)
	}
	os.Exit(code)
}

// needTools skips if this machine cannot run the tests. They run one at a
// time: each has an emulator that takes a core.
func needTools(t *testing.T) *tools {
	t.Helper()
	if testing.Short() {
		t.Skip("real firmware takes minutes")
	}
	if err := qemu.Available(); err != nil {
		t.Skip(err)
	}
	toolsOnce.Do(func() { toolsErr = makeTools() })
	if errors.Is(toolsErr, qemu.ErrUnavailable) {
		t.Skip(toolsErr)
	}
	if toolsErr != nil {
		t.Fatal(toolsErr)
	}
	return &toolsMade
}

func makeTools() (err error) {
	m := &toolsMade
	if m.dir, err = os.MkdirTemp("", "hyzer-qemu-"); err != nil {
		return err
	}
	if m.kernel, err = qemu.DebianKernel(context.Background()); err != nil {
		return err
	}
	in := func(name string) string { return filepath.Join(m.dir, name) }
	m.hyzerd, m.hyzer, m.node = in("hyzerd"), in("hyzer"), in("hyzer-node")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", m.dir, "hyzer/cmd/hyzerd", "hyzer/cmd/hyzer", "hyzer/cmd/hyzer-node")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w: %s", err, out)
	}
	m.initrd, m.script, m.syslin = in("initrd.img"), in("boot.ipxe"), in("pxelinux.cfg")
	if err := initramfs.WriteFile(m.initrd, initramfs.Options{Init: m.node, ModuleDir: m.kernel.ModuleDir, Modules: qemu.Modules()}); err != nil {
		return err
	}
	script := "#!ipxe\nkernel http://${next-server}/vmlinuz initrd=initrd.img " + kernelWords + " hyzer.server=${next-server} BOOTIF=01-${net0/mac:hexhyp}\n" +
		"initrd http://${next-server}/initrd.img\nboot\n"
	config := "DEFAULT mfs\nLABEL mfs\n  KERNEL vmlinuz\n  INITRD initrd.img\n  APPEND " + kernelWords + "\n  IPAPPEND 2\n"
	return errors.Join(os.WriteFile(m.script, []byte(script), 0o644), os.WriteFile(m.syslin, []byte(config), 0o644))
}

// served are the boot files of all tests.
func (m *tools) served() map[string]string {
	return map[string]string{
		"vmlinuz": m.kernel.Image, "initrd.img": m.initrd, "boot.ipxe": m.script, "snponly.efi": qemu.SNPOnly,
		"pxelinux.0": qemu.PXELinux, "ldlinux.c32": qemu.LDLinux, "pxelinux.cfg/default": m.syslin,
	}
}

// start runs a lab until the test is over, and shows what happened if it
// failed.
func start(t *testing.T, m *tools, o qemu.Options) *qemu.Lab {
	t.Helper()
	o.Dir, o.Daemon, o.Served = t.TempDir(), m.hyzerd, m.served()
	l, err := qemu.Start(t.Context(), o)
	if errors.Is(err, netns.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("state log:\n%s", strings.Join(states(t, l), "\n"))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("console:\n%s\nhyzerd:\n%s", l.Machine.Console.Text(), l.Log())
		}
	})
	return l
}

// expect waits for texts on the console, in order.
func expect(t *testing.T, l *qemu.Lab, from qemu.Mark, timeout time.Duration, texts ...string) qemu.Mark {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	began := time.Now()
	for _, text := range texts {
		var err error
		if from, err = l.Machine.Console.Await(ctx, from, text); err != nil {
			t.Fatal(err)
		}
		t.Logf("%5.1f s %s", time.Since(began).Seconds(), text)
	}
	return from
}

// states are the node's states since it was made, as mode/state.
func states(t *testing.T, l *qemu.Lab) (list []string) {
	t.Helper()
	var entries []registry.StateLogEntry
	// t.Context has ended when a cleanup asks.
	if err := l.Control.Call(context.Background(), http.MethodGet, "/v1/nodes/"+l.Machine.Name()+"/log?after=0", nil, &entries); err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		list = append(list, e.Mode+"/"+e.To)
	}
	return list
}

// awaitState waits until a node is in a state, written as mode/state.
func awaitState(t *testing.T, l *qemu.Lab, want string) {
	t.Helper()
	req := control.WaitRequest{Nodes: []string{l.Machine.Name()}, Pattern: want, TimeoutSecs: bootTimeout.Seconds(), NoFail: true}
	err := l.Control.Stream(t.Context(), http.MethodPost, "/v1/wait", req, func(line []byte) error {
		var r control.WaitResult
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		if r.Outcome != wait.Reached {
			return fmt.Errorf("%s: %s in %s/%s", want, r.Outcome, r.Mode, r.State)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNetworkBoot boots the memory file system with each firmware and loader.
// The node has no system: bootinfo makes it wait.
func TestNetworkBoot(t *testing.T) {
	m := needTools(t)
	for _, test := range []struct {
		name     string
		firmware qemu.Firmware
		files    map[string]string
		loader   []string // what it prints on the way
	}{
		{"BIOS, iPXE ROM, script", qemu.BIOS, map[string]string{"ipxe": "/tftpboot/boot.ipxe"},
			[]string{"iPXE", "boot.ipxe", "vmlinuz", "initrd.img"}},
		{"BIOS, iPXE ROM, pxelinux", qemu.BIOS, map[string]string{"bios": "/tftpboot/pxelinux.0"},
			[]string{"iPXE", "pxelinux.0", "PXELINUX"}},
		{"UEFI PXE, iPXE, script", qemu.UEFI, map[string]string{"efi-x64": "/tftpboot/snponly.efi", "ipxe": "/tftpboot/boot.ipxe"},
			[]string{"NBP filename is /tftpboot/snponly.efi", "iPXE", "boot.ipxe"}},
		{"UEFI HTTP boot, iPXE, script", qemu.UEFIWeb, map[string]string{"http-x64": "http://10.99.0.1/snponly.efi", "ipxe": "/tftpboot/boot.ipxe"},
			[]string{"http://10.99.0.1/snponly.efi", "iPXE", "boot.ipxe"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := start(t, m, qemu.Options{Firmware: test.firmware, BootFiles: test.files})
			l.Machine.PowerOn()
			at := expect(t, l, 0, bootTimeout, test.loader...)
			expect(t, l, at, bootTimeout, "msg=address", "ip="+l.Site.IP(0).String(), "server="+qemu.Server.String(), "name=pc1")
			awaitState(t, l, "PXEKERNEL/PXEWAIT")
		})
	}
}
