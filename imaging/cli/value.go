package cli

import (
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"strconv"
	"time"
)

const (
	// secondsMax bounds a time on the command line.
	secondsMax = 1_000_000
	// keyFileBytesMax bounds files of keys.
	keyFileBytesMax = 64 << 10
)

// IPv4 reads an address.
func IPv4(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err == nil && !a.Is4() {
		err = fmt.Errorf("%s is not an IPv4 address", s)
	}
	return a, err
}

// Number reads a number, decimal or in C's other notations.
func Number(s string, low, high int) (int, error) {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil || n < int64(low) || n > int64(high) {
		return 0, fmt.Errorf("%q is not a number from %d to %d", s, low, high)
	}
	return int(n), nil
}

// AtMost reads a number from 0 on; one above high counts as high.
func AtMost(s string, high int) (int, error) {
	n, err := Number(s, 0, math.MaxInt32)
	return min(n, high), err
}

// Seconds reads a time in whole seconds.
func Seconds(s string) (time.Duration, error) {
	n, err := Number(s, 0, secondsMax)
	return time.Duration(n) * time.Second, err
}

// KeyFile reads a file with a key, at most 64 KiB of it.
func KeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, keyFileBytesMax))
}
