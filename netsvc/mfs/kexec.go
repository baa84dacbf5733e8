package mfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/bootinfo"
)

// systemDir is where the partition that boots is mounted.
const systemDir = "/system"

// partitionsMax is how many partitions are tried when none is named.
const partitionsMax = 16

// bootPartition starts the system that bootinfo names. It returns only errors.
func (m *machine) bootPartition(_ context.Context, a bootinfo.Answer) error {
	disk, err := m.bootDisk(a)
	if err != nil {
		return err
	}
	if a.Partition > 0 {
		return m.bootFrom(disk, int(a.Partition), a.Cmdline)
	}
	// Partition 0 is the MBR's choice: the first that holds a system.
	var errs []error
	for n := 1; n <= partitionsMax; n++ {
		if _, err := partitionDevice(sysBlock, disk, n); err == nil {
			errs = append(errs, m.bootFrom(disk, n, a.Cmdline))
		}
	}
	return fmt.Errorf("no partition of disk %s boots: %w", disk, errors.Join(errs...))
}

func (m *machine) bootDisk(a bootinfo.Answer) (string, error) {
	if a.Type == bootinfo.TypeDiskPart && a.Disk > biosDiskFirst {
		return awaitDisk(fmt.Sprint("bios", a.Disk-biosDiskFirst))
	}
	return awaitDisk("")
}

func (m *machine) bootFrom(disk string, number int, cmdline string) error {
	device, err := partitionDevice(sysBlock, disk, number)
	if err != nil {
		return err
	}
	device = filepath.Join("/dev", device)
	if err := mountSystem(device, systemDir, unix.MS_RDONLY); err != nil {
		return err
	}
	err = m.startKernel(device, cmdline)
	return errors.Join(err, unix.Unmount(systemDir, 0))
}

// startKernel finds the system's kernel and replaces this one with it.
func (m *machine) startKernel(device, cmdline string) error {
	root, err := os.OpenRoot(systemDir)
	if err != nil {
		return err
	}
	defer root.Close()
	entry, err := findEntry(root.FS(), device, m.params)
	if err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	if cmdline != "" {
		entry.cmdline += " " + cmdline
	}
	m.log.Info("starting the system", "device", device, "kernel", entry.kernel, "initrd", entry.initrd, "cmdline", entry.cmdline)
	if err := loadKernel(root, entry); err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	unix.Sync()
	return os.NewSyscallError("reboot into the new kernel", unix.Reboot(unix.LINUX_REBOOT_CMD_KEXEC))
}

func loadKernel(root *os.Root, e entry) error {
	kernel, err := root.Open(e.kernel)
	if err != nil {
		return err
	}
	defer kernel.Close()
	if e.initrd == "" {
		return os.NewSyscallError("kexec_file_load", unix.KexecFileLoad(int(kernel.Fd()), -1, e.cmdline, unix.KEXEC_FILE_NO_INITRAMFS))
	}
	initrd, err := root.Open(e.initrd)
	if err != nil {
		return err
	}
	defer initrd.Close()
	return os.NewSyscallError("kexec_file_load", unix.KexecFileLoad(int(kernel.Fd()), int(initrd.Fd()), e.cmdline, 0))
}

// mountSystem mounts a file system of any type that the kernel knows.
func mountSystem(device, dir string, flags uintptr) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	var errs []error
	for line := range strings.Lines(string(known)) {
		kind, virtual := strings.TrimSpace(line), strings.HasPrefix(line, "nodev")
		if virtual || kind == "" {
			continue
		}
		err := unix.Mount(device, dir, kind, flags, "")
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("as %s: %w", kind, err))
	}
	return fmt.Errorf("mounting %s: %w", device, errors.Join(errs...))
}
