// Package initramfs makes the RAM disk that a node's kernel starts with: the
// node's program as /init and the kernel modules that it loads.
//
// Invariants: the same files make the same bytes; modules come in an order in
// which each finds what it needs.
//
// The callers are cmd/hyzer-node (mkmfs) and the tests with real firmware.
package initramfs
