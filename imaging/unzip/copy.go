package unzip

import (
	"context"
	"io"
	"os"

	"hyzer/imaging/internal/tool"
	"hyzer/imaging/ndz"
)

// copyChunks copies an image as it is, with its headers checked.
func (c *command) copyChunks(ctx context.Context) (stats Stats, err error) {
	src, dst := c.stdin, c.stdout
	if c.in != "-" {
		f, err := os.Open(c.in)
		if err != nil {
			return stats, err
		}
		defer f.Close()
		src = f
	}
	if c.out == "-" {
		return copyTo(ctx, src, dst, c.opts)
	}
	if c.in != "-" {
		if err := tool.Apart(c.out, c.in); err != nil {
			return stats, err
		}
	}
	f, err := os.Create(c.out)
	if err != nil {
		return stats, err
	}
	defer f.Close()
	if stats, err = copyTo(ctx, src, f, c.opts); err == nil {
		err = f.Sync()
	}
	return stats, err
}

func copyTo(ctx context.Context, src io.Reader, dst io.Writer, opts Options) (stats Stats, err error) {
	var headers ndz.Collector
	opts.Workers = 1
	err = inOrder(ctx, src, opts, func(_ context.Context, i int, s *slot, _ <-chan struct{}) error {
		if err := opts.checkChunk(i, s.buf); err != nil {
			return err
		}
		n, err := dst.Write(s.buf)
		stats.Chunks++
		stats.WrittenBytes += int64(n)
		stats.WriteRequests++
		return err
	}, &headers)
	return stats, err
}
