package capture

import (
	"fmt"

	"hyzer/imaging/manifest"
	"hyzer/imaging/ndz"
)

// checker follows an image as it is written, and finds the first chunk that is
// none.
type checker struct {
	headers ndz.Collector
	decoder *ndz.Decoder
	sums    manifest.Builder
	chunk   []byte // the part of one that has come
	chunks  int
}

func newChecker() (*checker, error) {
	d, err := ndz.NewDecoder(ndz.DecodeOptions{})
	if err != nil {
		return nil, err
	}
	return &checker{decoder: d, chunk: make([]byte, 0, ndz.ChunkBytes)}, nil
}

// Write takes the next bytes.
func (c *checker) Write(p []byte) (int, error) {
	n := len(p)
	c.sums.Write(p)
	for len(p) > 0 {
		k := min(len(p), ndz.ChunkBytes-len(c.chunk))
		c.chunk, p = append(c.chunk, p[:k]...), p[k:]
		if len(c.chunk) < ndz.ChunkBytes {
			break
		}
		if err := c.whole(); err != nil {
			return 0, err
		}
		c.chunk = c.chunk[:0]
		c.chunks++
	}
	return n, nil
}

// whole checks a chunk: its header, that it goes with those before it, and
// that it inflates to what it says. What is encrypted cannot be inflated.
func (c *checker) whole() error {
	h, err := ndz.ParseHeader(c.chunk)
	if err != nil {
		return ndz.InChunk(err, c.chunks)
	}
	if err := c.headers.Add(h); err != nil {
		return err
	}
	if h.Cipher != ndz.CipherNone {
		return nil
	}
	if _, err := c.decoder.Decode(c.chunk); err != nil {
		return ndz.InChunk(err, c.chunks)
	}
	return nil
}

// finish says whether the bytes so far are an image.
func (c *checker) finish() (ndz.Summary, error) {
	if len(c.chunk) > 0 {
		return ndz.Summary{}, fmt.Errorf("it ends after %d bytes of chunk %d: cut short, or no image", len(c.chunk), c.chunks)
	}
	return c.headers.Finish()
}
