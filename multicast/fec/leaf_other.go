//go:build !amd64

package fec

import "hyzer/multicast/wire"

const hasQuads = false

func quad(_, _ *[4]*[wire.BlockBytes]byte, _ *[3]products) {}
