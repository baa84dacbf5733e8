// Package qemu runs real firmware against the appliance: machines of QEMU with
// SeaBIOS, iPXE, pxelinux or OVMF on a bridge in a network namespace of their
// own, and hyzerd as a process on the real ports beside them.
//
// It needs root, and Debian's packages qemu-system-x86, seabios, ipxe-qemu,
// ovmf, ipxe, pxelinux and syslinux-common; what is missing is named in an
// error that wraps ErrUnavailable. The kernel that the machines boot comes from
// the package linux-image-cloud-amd64, which is downloaded and unpacked, not
// installed, below the user's cache folder.
//
// Invariants: nothing of a lab is outside its namespace and its folder; every
// process dies with the lab, also if the test is killed; QEMU emulates the
// processor, as a /dev/kvm that opens does not always run a kernel.
//
// The callers are this package's tests.
package qemu
