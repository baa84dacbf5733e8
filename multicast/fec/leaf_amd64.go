package fec

import (
	"golang.org/x/sys/cpu"

	"hyzer/multicast/wire"
)

// hasQuads is filled once, and only read.
var hasQuads = cpu.X86.HasAVX2

// quad is two levels for four blocks: by[0] is the constant of the first two in the
// first level, by[1] that of the others, by[2] that of the second level.
//
//go:noescape
func quad(out, in *[4]*[wire.BlockBytes]byte, by *[3]products)
