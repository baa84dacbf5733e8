// Package httpboot serves boot files by plain HTTP: UEFI HTTP boot, iPXE and
// lpxelinux (pxe-dhcp.md section 8). It is net/http over bootfiles.Files with
// what boot firmware needs and no more: GET and HEAD with Content-Length,
// ranges, a Content-Type that UEFI understands. No listing, no upload.
//
// Invariant: connections, header bytes and the time between two steps of a
// client are bounded, and no text of the file system reaches the wire.
// handler.go answers a request, limits.go bounds connections, server.go is the
// shell. netsvc/appliance calls New and Run.
package httpboot
