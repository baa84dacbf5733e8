//go:build !amd64

package sha1pair

func supported() bool { return false }

func blocks(*[2]state, *byte, *byte, int) { panic("sha1pair: not supported") }
