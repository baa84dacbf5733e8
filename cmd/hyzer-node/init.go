package main

import (
	"io"

	"hyzer/netsvc/mfs"
	"hyzer/netsvc/mfs/initramfs"
)

// initMain is the first program of the memory file system.
func initMain(args []string, in io.Reader, out, errs io.Writer) int {
	return mfs.Main(args, in, out, errs)
}

// mkmfsMain makes its RAM disk.
func mkmfsMain(args []string, in io.Reader, out, errs io.Writer) int {
	return initramfs.Main(args, in, out, errs)
}
