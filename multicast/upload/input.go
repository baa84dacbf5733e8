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

// waitFor returns from once it has a first byte, or fails. To close what it returns
// ends a read that waits for more. What reads from goes on until that has some, or
// the process ends.
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
		piped, to := io.Pipe()
		go func() {
			_, err := io.Copy(to, r)
			to.CloseWithError(err)
		}()
		return piped, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// dotter prints a dot for each MiB that is read.
type dotter struct {
	io.ReadCloser
	to io.Writer
	n  int64
}

func (d *dotter) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	for before := d.n / dotBytes; before < (d.n+int64(n))/dotBytes; before++ {
		fmt.Fprint(d.to, ".")
	}
	d.n += int64(n)
	return n, err
}
