// Package vnode is one virtual machine of a testbed, as the appliance sees it:
// firmware, boot loader, disk loader and operating system, over the real
// protocols and real sockets. It is the other end of every service, for tests
// of the whole appliance and for the demo.
//
//	firmware     DHCP or proxyDHCP, TFTP of the boot program
//	boot loader  bootinfo: waits for orders, boots the disk, fetches an MFS
//	disk loader  tmcc loadinfo, the frisbee master, multicast onto the disk
//	admin MFS    tmcc state MFSSETUP, ISUP
//	system       tmcc, as an Emulab node configures itself, up to ISUP
//
// Nothing is pretended. A node boots its disk only if there is an intact file
// system where the partition table says, and what is on the disk came through
// the multicast client. What fails, fails as it does on a real machine: at most
// steps the node just falls silent, and the server must find out.
//
// Invariants: a Node that is on has one goroutine tree, which PowerOff ends and
// waits for; like a power cut it reports nothing more and the disk keeps what
// was written. (The multicast client still says that it leaves, which servers
// only count.) The timeline and every datagram read are bounded.
//
// A node lives either on a loopback address of its own with the servers' ports
// in its Config, without privileges, or behind a link in a network namespace
// (package bench/netns) on the real ports, where its DHCP is a real broadcast.
// On loopback the kernel answers pings for a node that is off.
//
// The callers are the appliance's tests and cmd/hyzer-bench.
package vnode
