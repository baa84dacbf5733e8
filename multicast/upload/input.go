package upload

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// errNoInput is returned if there is nothing to upload.
var errNoInput = errors.New("standard input ended without a byte; what makes the image failed")

// waitFor returns from once it has a first byte, or fails. What reads it goes
// on until it has one if ctx ends sooner, and the process with it.
func waitFor(ctx context.Context, from io.Reader) (io.ReadCloser, error) {
	r := bufio.NewReaderSize(from, bufferBytes)
	first := make(chan error, 1)
	go func() {
		_, err := r.Peek(1)
		first <- err
	}()
	select {
	case err := <-first:
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoInput
		case err != nil:
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return io.NopCloser(r), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dotter prints a dot for each MiB that is read.
type dotter struct {
	io.Reader
	to io.Writer
	n  int64
}

func (d *dotter) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	for before := d.n / dotBytes; before < (d.n+int64(n))/dotBytes; before++ {
		fmt.Fprint(d.to, ".")
	}
	d.n += int64(n)
	return n, err
}
