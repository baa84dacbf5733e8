package view

import (
	"bytes"
	"errors"
	"sync"

	"hyzer/imaging/ndz"
)

const (
	// pageBytes is the unit in which decoded data is kept; pages of zeros take
	// no room.
	pageBytes = 64 << 10
	// windowBytes is how much of a chunk is kept at once: all of it, unless it
	// is one that expands a lot and not to zeros. Windows begin at multiples of
	// it in the chunk's data.
	windowBytes = 16 << 20
)

// window is a part of a chunk's data, once it was decoded.
type window struct {
	chunk    int
	from, to int64 // in the chunk's data
	once     sync.Once
	err      error
	pages    map[int64][]byte // by number from from on; none: zeros
	bytes    int64            // of pages
	settled  bool             // counted in the cache
}

// cache keeps the windows used last.
type cache struct {
	bytesMax int64

	mu      sync.Mutex
	bytes   int64
	windows []*window // least recently used first
}

// find returns the window that has, or is to have, the byte at stream offset
// at of a chunk.
func (c *cache) find(chunk int, at int64) *window {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.windows {
		if w.chunk != chunk || at < w.from || w.settled && at >= w.to {
			continue
		}
		if !w.settled && at >= w.from+windowBytes {
			continue // it may not come so far
		}
		copy(c.windows[i:], c.windows[i+1:])
		c.windows[len(c.windows)-1] = w
		return w
	}
	w := &window{chunk: chunk, from: at - at%windowBytes}
	c.windows = append(c.windows, w)
	return w
}

// settle counts a window that is loaded, and lets go of the oldest if there is
// too much. One that failed is forgotten, to be tried again.
func (c *cache) settle(w *window) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.settled {
		return
	}
	w.settled = true
	c.bytes += w.bytes
	kept := c.windows[:0]
	for i, x := range c.windows {
		tooMuch := c.bytes > c.bytesMax && x.settled && i < len(c.windows)-1
		if tooMuch || x == w && w.err != nil {
			c.bytes -= x.bytes
			continue
		}
		kept = append(kept, x)
	}
	clear(c.windows[len(kept):])
	c.windows = kept
}

// copy fills p from stream offset at on, as far as the window goes. p is zero.
func (w *window) copy(p []byte, at int64) (n int) {
	for n < len(p) && at < w.to {
		page, in := (at-w.from)/pageBytes, (at-w.from)%pageBytes
		k := int(min(int64(len(p)-n), pageBytes-in, w.to-at))
		if data := w.pages[page]; data != nil {
			copy(p[n:n+k], data[in:])
		}
		n, at = n+k, at+int64(k)
	}
	return n
}

// errFull ends the decoding of a chunk.
var errFull = errors.New("window is full")

// load decodes the window's chunk and keeps what is the window's.
func (m *Image) load(w *window) {
	at := int64(0)
	w.to, w.pages = w.from, map[int64][]byte{}
	err := m.chunks.stream(w.chunk, func(r ndz.Run) error {
		n := int64(len(r.Data)) + r.Zeros
		skip := min(max(w.from-at, 0), n)
		at += n
		if r.Data == nil {
			w.to += n - skip
			return nil
		}
		return w.append(r.Data[skip:])
	})
	if err != errFull {
		w.err = err
	}
}

// append adds data to the window's end, which is errFull when there is enough
// of it that is not zero.
func (w *window) append(data []byte) error {
	for len(data) > 0 {
		page, in := (w.to-w.from)/pageBytes, int((w.to-w.from)%pageBytes)
		n := min(len(data), pageBytes-in)
		if w.pages[page] == nil && !zero(data[:n]) {
			if w.bytes == windowBytes {
				w.to = w.from + page*pageBytes
				return errFull
			}
			w.pages[page] = make([]byte, pageBytes)
			w.bytes += pageBytes
		}
		if w.pages[page] != nil {
			copy(w.pages[page][in:], data[:n])
		}
		data, w.to = data[n:], w.to+int64(n)
	}
	return nil
}

// zero tells whether p, a page at most, is all zeros.
func zero(p []byte) bool { return bytes.Equal(p, zeros[:len(p)]) }

var zeros [pageBytes]byte
