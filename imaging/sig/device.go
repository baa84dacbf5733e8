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
	bad, err := Check(ctx, dev, s, c.opts.Workers)
	if err != nil {
		return exitDevice, fmt.Errorf("%s: %w", c.device, err)
	}
	if !c.quiet || len(bad) > 0 {
		c.summary(s, len(bad))
	}
	if len(bad) == 0 {
		return 0, nil
	}
	c.printBad(bad)
	return exitMismatch, nil
}

func (c *command) printBad(bad []Mismatch) {
	chunks, size := map[int]bool{}, uint64(0)
	for _, m := range bad {
		chunks[m.Chunk] = true
		size += m.Size * ndz.SectorBytes
		if c.detail > 0 && c.raw {
			fmt.Fprintf(c.stdout, "chunk %d: sectors [%d-%d] differ\n", m.Chunk, m.Start, m.End()-1)
		} else if c.detail > 0 {
			fmt.Fprintf(c.stdout, "chunk %d: sectors [%d-%d]: %x, want %x\n", m.Chunk, m.Start, m.End()-1, m.Got, m.Hash)
		}
	}
	fmt.Fprintf(c.stdout, "%s: %d regions (%d chunks) had bad hashes, %d bytes affected\n", c.device, len(bad), len(chunks), size)
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
	bad, total, err := Compare(ctx, image, info.Size(), dev, c.opts)
	if errors.Is(err, errDevice) {
		return exitDevice, fmt.Errorf("%s: %w", c.device, err)
	}
	if err != nil {
		return exitImage, fmt.Errorf("%s: %w", c.image, err)
	}
	if !c.quiet || len(bad) > 0 {
		fmt.Fprintf(c.stdout, "%s: %d of %d blocks differ\n", c.image, len(bad), total)
	}
	if len(bad) == 0 {
		return 0, nil
	}
	c.printBad(bad)
	return exitMismatch, nil
}
