// Package mfs is the first program of a node's memory file system: the node's
// firmware loads a Linux kernel and this as /init by PXE or HTTP, and it is
// then boot loader and disk loader in one.
//
// It brings up the network by DHCP and asks bootinfo what to do, as pxeboot
// does (page bootinfo, section 6): wait for orders, reboot, load the disk
// (package diskloader), or start the system on a partition, whose kernel it
// runs by kexec. A system's own initial RAM disk is no different in what it
// has to do before the system's init, so with root= on the kernel's command
// line it mounts that and starts /sbin/init. From a disk it is the smallest
// system that speaks Emulab's client protocol: it reports TBSETUP and ISUP.
//
// initramfs/ makes the RAM disk. The file etc/modules in it lists the kernel
// modules to load, in order. With client.pem and emulab.pem in etc/emulab it
// speaks TLS with tmcd, which tells the keys of image sessions only so.
//
// Invariants: it is process 1, so nothing returns from Main: every path ends
// in a reboot, a new kernel or a new program. Once the machine has something to
// do, its log goes to the server while it grows, and is whole there before the
// server hears how it went, and before another kernel runs; a boot waits for
// that only for a moment.
//
// The caller is cmd/hyzer-node.
package mfs
