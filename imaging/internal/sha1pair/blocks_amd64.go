package sha1pair

import "sync"

// blocks adds n blocks of 64 bytes from p on to the first sum, and as many from q
// on to the second.
//
//go:noescape
func blocks(h *[2]state, p, q *byte, n int)

//go:noescape
func cpuid(leaf, sub uint32) (a, b, c, d uint32)

// supported tells whether the processor has SSSE3, SSE4.1 and the SHA extensions.
var supported = sync.OnceValue(func() bool {
	const ssse3, sse41, sha = 1 << 9, 1 << 19, 1 << 29
	highest, _, _, _ := cpuid(0, 0)
	_, _, basic, _ := cpuid(1, 0)
	if highest < 7 || basic&ssse3 == 0 || basic&sse41 == 0 {
		return false
	}
	_, extended, _, _ := cpuid(7, 0)
	return extended&sha != 0
})
