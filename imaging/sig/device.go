package sig

import (
	"context"
	"errors"
	"fmt"
	"os"

	"hyzer/imaging/ndz"
)

// checkDevice compares a disk with the image's signature, or with the image
// if it has none.
func (c *command) checkDevice(ctx context.Context) (int, error) {
	s, err := ReadFile(c.sigPath)
	if errors.Is(err, os.ErrNotExist) {
		s, err = c.hash(ctx)
	}
	if err != nil {
		return exitImage, err
	}
	dev, err := os.Open(c.device)
	if err != nil {
		return exitDevice, err
	}
	defer dev.Close()
	var report badReport
	bad, err := Check(ctx, dev, s, c.opts.Workers, func(m Mismatch, same bool) error {
		if !same {
			c.addBad(&report, m)
		}
		return nil
	})
	if err != nil {
		return exitDevice, fmt.Errorf("%s: %w", c.device, err)
	}
	if !c.quiet {
		if err := c.summary(s, bad.Bad); err != nil {
			return exitImage, err
		}
	}
	return c.printBad(&report), nil
}

// badReport is what is told of the blocks that differ.
type badReport struct {
	blocks  int
	chunks  int
	highest int // chunk
	bytes   uint64
}

// addBad counts the next block that differs, and prints it with -d. Their chunks ascend, but for those
// that a delta does not have, which are called 0.
func (c *command) addBad(r *badReport, m Mismatch) {
	if r.blocks == 0 || m.Chunk > r.highest {
		r.chunks, r.highest = r.chunks+1, m.Chunk
	}
	r.blocks++
	r.bytes += m.Size * ndz.SectorBytes
	if c.detail > 0 && c.raw {
		fmt.Fprintf(c.stdout, "chunk %d: sectors [%d-%d] differ\n", m.Chunk, m.Start, m.End()-1)
	} else if c.detail > 0 {
		fmt.Fprintf(c.stdout, "chunk %d: sectors [%d-%d]: %x, want %x\n", m.Chunk, m.Start, m.End()-1, m.Got, m.Hash)
	}
}

// printBad ends the report and returns the exit status.
func (c *command) printBad(r *badReport) int {
	if r.blocks == 0 {
		return 0
	}
	fmt.Fprintf(c.stdout, "%s: %d regions (%d chunks) had bad hashes, %d bytes affected\n", c.device, r.blocks, r.chunks, r.bytes)
	return exitMismatch
}

// compareDevice compares a disk with the image, without a signature.
func (c *command) compareDevice(ctx context.Context) (int, error) {
	image, err := os.Open(c.image)
	if err != nil {
		return exitImage, err
	}
	defer image.Close()
	info, err := image.Stat()
	if err != nil {
		return exitImage, err
	}
	dev, err := os.Open(c.device)
	if err != nil {
		return exitDevice, err
	}
	defer dev.Close()
	var report badReport
	found, err := Compare(ctx, image, info.Size(), dev, c.opts, func(m Mismatch) error {
		c.addBad(&report, m)
		return nil
	})
	if errors.Is(err, errDevice) {
		return exitDevice, fmt.Errorf("%s: %w", c.device, err)
	}
	if err != nil {
		return exitImage, fmt.Errorf("%s: %w", c.image, err)
	}
	if !c.quiet {
		fmt.Fprintf(c.stdout, "%s: %d of %d blocks differ\n", c.image, found.Bad, found.Records)
	}
	return c.printBad(&report), nil
}
