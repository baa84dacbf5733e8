package sig

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
)

// Mismatch is a record whose sectors hold something else.
type Mismatch struct {
	Record
	Got [HashBytes]byte
}

// Check reads the sectors of every record from dev, where the image begins at
// byte 0, and returns those that differ, in order.
func Check(ctx context.Context, dev io.ReaderAt, f *File, nworkers int) ([]Mismatch, error) {
	c := &checker{dev: dev, f: f}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range tool.Workers(nworkers) {
		wg.Go(func() {
			if err := c.run(ctx); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(c.bad, func(a, b Mismatch) int { return cmp.Compare(a.Start, b.Start) })
	return c.bad, context.Cause(ctx)
}

// checkRecords is how many records a worker takes at a time.
const checkRecords = 64

type checker struct {
	dev io.ReaderAt
	f   *File

	mu   sync.Mutex
	next int
	bad  []Mismatch
}

func (c *checker) take() []Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := c.next
	c.next = min(from+checkRecords, len(c.f.Records))
	return c.f.Records[from:c.next]
}

func (c *checker) run(ctx context.Context) error {
	var buf []byte
	for records := c.take(); len(records) > 0; records = c.take() {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, r := range records {
			got, err := HashRange(c.dev, c.f.Type, r.Start, r.Size, &buf)
			if err != nil {
				return err
			}
			if got != r.Hash {
				c.mu.Lock()
				c.bad = append(c.bad, Mismatch{r, got})
				c.mu.Unlock()
			}
		}
	}
	return nil
}

// hashReadBytes is how much is read at a time.
const hashReadBytes = 1 << 20

// HashRange hashes sectors of dev. buf is scratch memory kept between calls.
func HashRange(dev io.ReaderAt, t HashType, start, size uint64, buf *[]byte) (sum [HashBytes]byte, err error) {
	if *buf == nil {
		*buf = make([]byte, hashReadBytes)
	}
	h := t.New()
	for at, end := int64(start)*ndz.SectorBytes, int64(start+size)*ndz.SectorBytes; at < end; {
		p := (*buf)[:min(end-at, hashReadBytes)]
		n, err := dev.ReadAt(p, at)
		if n < len(p) {
			return sum, fmt.Errorf("reading sectors [%d,%d) at byte %d: %w", start, start+size, at+int64(n), err)
		}
		h.Write(p)
		at += int64(n)
	}
	h.Sum(sum[:0])
	return sum, nil
}
