// Package lvm finds the free space of LVM2 physical volumes: extents that no
// logical volume has, and the free space of file systems in logical volumes
// that lie on the disk as they are.
//
// Invariants: everything outside the extents is kept; an extent is free only
// if the newest intact copy of the volume group's text metadata names no owner
// for it; and only a visible volume of linear segments that no other volume
// refers to (as a pool, mirror or snapshot does) is looked into. A group of
// several physical volumes is kept whole: what is on the others may be newer.
// imaging/zip calls it.
//
// The layout is that of lvm(8), pvck(8) and pvscan's own dumps: a label in one
// of the first four sectors, a header, and areas of text metadata.
package lvm
