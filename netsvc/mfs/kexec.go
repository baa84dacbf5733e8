package mfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/bootinfo"
)

// systemDir is where the partition that boots is mounted.
const systemDir = "/system"

// partitionsMax is how many partitions are tried when none is named.
const partitionsMax = 16

// bootPartition starts the system that bootinfo names. It returns only errors.
func (m *machine) bootPartition(ctx context.Context, a bootinfo.Answer) error {
	disk, err := m.bootDisk(a)
	if err != nil {
		return err
	}
	if a.Partition > 0 {
		return m.bootFrom(ctx, disk, int(a.Partition), a.Cmdline)
	}
	// Partition 0 is the MBR's choice: the first that holds a system.
	var errs []error
	for n := 1; n <= partitionsMax; n++ {
		if _, err := partitionDevice(sysBlock, disk, n); err == nil {
			errs = append(errs, m.bootFrom(ctx, disk, n, a.Cmdline))
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

func (m *machine) bootFrom(ctx context.Context, disk string, number int, cmdline string) error {
	device, err := partitionDevice(sysBlock, disk, number)
	if err != nil {
		return err
	}
	device = filepath.Join("/dev", device)
	if err := mountSystem(device, systemDir, unix.MS_RDONLY); err != nil {
		return err
	}
	err = m.startKernel(ctx, device, cmdline)
	return errors.Join(err, unix.Unmount(systemDir, 0))
}

// startKernel finds the system's kernel and replaces this one with it.
func (m *machine) startKernel(ctx context.Context, device, cmdline string) error {
	root, err := os.OpenRoot(systemDir)
	if err != nil {
		return err
	}
	defer root.Close()
	entry, err := FindEntry(root.FS(), device, m.params.kept())
	if err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	if cmdline != "" {
		entry.Cmdline += " " + cmdline
	}
	m.log.Info("starting the system", "device", device, "kernel", entry.Kernel, "initrd", entry.Initrd, "cmdline", entry.Cmdline)
	if err := loadKernel(root, entry); err != nil {
		return fmt.Errorf("%s: %w", device, err)
	}
	m.logBefore(ctx, "the system's kernel")
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_KEXEC); err != nil {
		return os.NewSyscallError("reboot into the new kernel", err)
	}
	return errStillRunning
}

func loadKernel(root *os.Root, e Entry) error {
	kernel, err := root.Open(e.Kernel)
	if err != nil {
		return err
	}
	defer kernel.Close()
	if e.Initrd == "" {
		return os.NewSyscallError("kexec_file_load", unix.KexecFileLoad(int(kernel.Fd()), -1, e.Cmdline, unix.KEXEC_FILE_NO_INITRAMFS))
	}
	initrd, err := root.Open(e.Initrd)
	if err != nil {
		return err
	}
	defer initrd.Close()
	return os.NewSyscallError("kexec_file_load", unix.KexecFileLoad(int(kernel.Fd()), int(initrd.Fd()), e.Cmdline, 0))
}
