package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ErrUnavailable is wrapped by errors that say what this machine lacks.
var ErrUnavailable = errors.New("real firmware is not available")

// kernelPackage depends on the current kernel. Its ext4 is built in; virtio
// are modules.
const kernelPackage = "linux-image-cloud-amd64"

// Modules are what a machine of this package needs.
func Modules() []string { return []string{"virtio_pci", "virtio_net", "virtio_blk", "virtio_rng"} }

// Kernel is an unpacked kernel package.
type Kernel struct {
	Image     string // vmlinuz
	ModuleDir string // lib/modules/<version>
	Version   string
}

// DebianKernel returns the kernel in the cache, which it fills if need be.
func DebianKernel(ctx context.Context) (Kernel, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return Kernel{}, err
	}
	dir := filepath.Join(cache, "hyzer", kernelPackage)
	k, err := kernelIn(dir)
	if err == nil {
		return k, nil
	}
	if err := unpackKernel(ctx, dir); err != nil {
		return Kernel{}, fmt.Errorf("%w: package %s: %w", ErrUnavailable, kernelPackage, err)
	}
	return kernelIn(dir)
}

func kernelIn(dir string) (Kernel, error) {
	const prefix = "vmlinuz-"
	images, err := filepath.Glob(filepath.Join(dir, "boot", prefix+"*"))
	if err != nil || len(images) == 0 {
		return Kernel{}, fmt.Errorf("%s has no kernel", dir)
	}
	image := images[len(images)-1]
	version := strings.TrimPrefix(filepath.Base(image), prefix)
	return Kernel{image, filepath.Join(dir, "lib", "modules", version), version}, nil
}

// unpackKernel downloads the package and unpacks it into a folder, at once.
func unpackKernel(ctx context.Context, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	name, err := currentKernel(ctx)
	if err != nil {
		return err
	}
	// apt's own user cannot write here; as root it needs no sandbox.
	if err := run(ctx, work, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil || len(debs) != 1 {
		return fmt.Errorf("apt-get download %s left %d packages", name, len(debs))
	}
	if err := run(ctx, work, "dpkg-deb", "-x", debs[0], "root"); err != nil {
		return err
	}
	return os.Rename(filepath.Join(work, "root"), dir)
}

// currentKernel is the package that has the files.
func currentKernel(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "apt-cache", "depends", kernelPackage).Output()
	if err != nil {
		return "", fmt.Errorf("apt-cache depends: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: linux-image-"); ok {
			return "linux-image-" + name, nil
		}
	}
	return "", errors.New("apt-cache knows no kernel that it depends on; run apt-get update")
}

func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.400s", name, err, out)
	}
	return nil
}

// Available says what of programs and files is missing, by package.
func Available() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: this needs root", ErrUnavailable)
	}
	if _, err := exec.LookPath(emulator); err != nil {
		return fmt.Errorf("%w: %s is missing (package qemu-system-x86)", ErrUnavailable, emulator)
	}
	for path, pkg := range map[string]string{
		ovmfCode: "ovmf", "/usr/share/seabios/bios-256k.bin": "seabios", "/usr/lib/ipxe/qemu/efi-virtio.rom": "ipxe-qemu",
		SNPOnly: "ipxe", PXELinux: "pxelinux", LDLinux: "syslinux-common", "/dev/net/tun": "linux-image with tun",
	} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w: %s is missing (package %s)", ErrUnavailable, path, pkg)
		}
	}
	return nil
}

// Boot programs of Debian's packages.
const (
	SNPOnly  = "/usr/lib/ipxe/snponly.efi"
	PXELinux = "/usr/lib/PXELINUX/pxelinux.0"
	LDLinux  = "/usr/lib/syslinux/modules/bios/ldlinux.c32"
)
