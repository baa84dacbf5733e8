package unzip

import (
	"context"
	"io"
	"os"
	"time"

	"hyzer/imaging/internal/replace"
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
	if info, err := os.Stat(c.out); err == nil && !info.Mode().IsRegular() {
		return c.copyToDevice(ctx, src)
	}
	err = replace.File(c.out, 0o666, time.Now(), func(f *os.File) error {
		stats, err = copyTo(ctx, src, f, c.opts)
		return err
	})
	return stats, err
}

// copyToDevice copies an image to a disk that is not in use.
func (c *command) copyToDevice(ctx context.Context, src io.Reader) (stats Stats, err error) {
	t, err := OpenTarget(c.out)
	if err != nil {
		return stats, err
	}
	defer t.Close()
	if err := t.Claim(nil); err != nil {
		return stats, err
	}
	if stats, err = copyTo(ctx, src, io.NewOffsetWriter(t, 0), c.opts); err != nil {
		return stats, err
	}
	return stats, t.Finish(stats.WrittenBytes)
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
