package fec

import (
	"golang.org/x/sys/cpu"

	"hyzer/multicast/wire"
)

// leafVector is leaf for processors with AVX-512 and GFNI.
//
//go:noescape
func leafVector(out *byte, in *[leafBlocks]*[wire.BlockBytes]byte, twists *leafTwists)

// hasLeafVector is filled once, and only read.
var hasLeafVector = cpu.X86.HasAVX512F && cpu.X86.HasAVX512GFNI
