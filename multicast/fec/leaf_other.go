//go:build !amd64

package fec

import "hyzer/multicast/wire"

const hasLeafVector = false

func leafVector(*byte, *[leafBlocks]*[wire.BlockBytes]byte, *leafTwists) {}
