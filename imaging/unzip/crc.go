package unzip

import (
	"context"
	"fmt"
)

// crcPolynomial is that of POSIX cksum.
const crcPolynomial = 0x04c11db7

// crc sums what is written up as cksum does, without the length at the end. The
// old program's -C is this for what it restores in one write; for more its
// result depends on the sizes of its buffers.
type crc struct {
	sum   uint32
	table [256]uint32
}

func newCRC() *crc {
	c := &crc{}
	for i := range c.table {
		x := uint32(i) << 24
		for range 8 {
			top := x >> 31
			x = x<<1 ^ crcPolynomial*top
		}
		c.table[i] = x
	}
	return c
}

func (c *crc) Write(p []byte) (int, error) {
	for _, b := range p {
		c.sum = c.sum<<8 ^ c.table[byte(c.sum>>24)^b]
	}
	return len(p), nil
}

// checksum is -C: it restores to nowhere and prints the sum of the whole disk.
func (c *command) checksum(ctx context.Context) (Stats, error) {
	sum := newCRC()
	stats, err := c.stream(ctx, sum)
	if err == nil {
		fmt.Fprintf(c.stderr, "%s: CRC=%d\n", c.in, sum.sum)
	}
	return stats, err
}
