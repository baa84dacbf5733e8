// Package bootfiles names and opens the files that nodes boot from: the
// interface that netsvc/tftp and netsvc/httpboot serve from, and Dir, which
// implements it on one folder of the disk.
//
// Invariant: whatever name a stranger sends, Dir opens a regular file below
// its root or nothing. CleanName refuses what no boot loader asks for, and
// os.Root refuses what a symbolic link would reach outside.
//
// Callers: netsvc/tftp, netsvc/httpboot; netsvc/appliance makes the Dir. An
// implementation that answers per node (a computed pxelinux.cfg, a policy on
// who may read what) wraps a Dir and decides by the client's address.
package bootfiles
