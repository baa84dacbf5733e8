package mfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"hyzer/imaging/unzip"
	"hyzer/netsvc/diskloader"
)

const (
	// diskWait is how long a disk may take to appear after its driver.
	diskWait = 20 * time.Second
	diskPoll = 100 * time.Millisecond
	sysBlock = "/sys/block"
	// biosDiskFirst is the BIOS number of the first disk.
	biosDiskFirst = 0x80
)

// openDisks are disks that are being loaded.
type openDisks []*unzip.FileTarget

// open finds a disk by the name that tmcd knows.
func (o *openDisks) open(name string) (diskloader.Disk, error) {
	device, err := awaitDisk(name)
	if err != nil {
		return nil, err
	}
	t, err := unzip.OpenTarget(filepath.Join("/dev", device))
	if err != nil {
		return nil, err
	}
	*o = append(*o, t)
	if !t.Device() {
		return nil, fmt.Errorf("/dev/%s is no block device", device)
	}
	return t, nil
}

func (o *openDisks) close() {
	for _, t := range *o {
		_ = t.Close() // the loader made everything durable, or failed
	}
}

// awaitDisk returns the kernel's name of a disk once it is there.
func awaitDisk(name string) (string, error) {
	for end := time.Now().Add(diskWait); ; time.Sleep(diskPoll) {
		disks, err := listDisks(sysBlock)
		if err != nil {
			return "", err
		}
		device, err := chooseDisk(disks, name)
		if err == nil || time.Now().After(end) {
			return device, err
		}
	}
}

// chooseDisk finds a disk: by its own name, or, for names of other systems
// that end in a number, such as ad0, by that number. An empty name is the first
// disk. A letter that is not there is an error: another disk is not to be
// overwritten in its place.
func chooseDisk(disks []string, name string) (string, error) {
	unit := 0
	if name != "" {
		for _, d := range disks {
			if d == name {
				return d, nil
			}
		}
		digits := name[len(strings.TrimRight(name, "0123456789")):]
		var err error
		if unit, err = strconv.Atoi(digits); err != nil {
			return "", fmt.Errorf("there is no disk %s among %v", name, disks)
		}
	}
	if unit >= len(disks) {
		return "", fmt.Errorf("there is no disk %d (%q) among %v", unit, name, disks)
	}
	return disks[unit], nil
}

// listDisks are the disks in the order of their names, vdb before vdaa.
// Removable ones and those that are made of something else do not count.
func listDisks(sys string) (disks []string, err error) {
	entries, err := os.ReadDir(sys)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		dir := filepath.Join(sys, e.Name())
		if _, err := os.Stat(filepath.Join(dir, "device")); err != nil {
			continue // loop, ram, dm, md
		}
		if flag, err := os.ReadFile(filepath.Join(dir, "removable")); err == nil && strings.TrimSpace(string(flag)) == "1" {
			continue
		}
		disks = append(disks, e.Name())
	}
	sort.Slice(disks, func(i, j int) bool {
		a, b := disks[i], disks[j]
		return len(a) < len(b) || len(a) == len(b) && a < b
	})
	return disks, nil
}

// partitionDevice is the kernel's name of a partition.
func partitionDevice(sys, disk string, number int) (string, error) {
	entries, err := os.ReadDir(filepath.Join(sys, disk))
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(sys, disk, e.Name(), "partition"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n == number {
			return e.Name(), nil
		}
	}
	return "", fmt.Errorf("disk %s has no partition %d", disk, number)
}
