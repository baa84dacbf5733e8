package tmc2

import (
	"encoding/binary"
	"fmt"
	"math"
)

// cursor reads a payload from its beginning. After the first read past the end
// all reads give nothing, and err says so.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n > len(c.b) {
		c.bad = true
		return nil
	}
	taken := c.b[:n:n]
	c.b = c.b[n:]
	return taken
}

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// text is a u16 length and as many bytes.
func (c *cursor) text() []byte { return c.take(int(c.u16())) }

// err is ErrMalformed if a read failed.
func (c *cursor) err(what Type) error {
	if c.bad {
		return fmt.Errorf("%w: %v ends early", ErrMalformed, what)
	}
	return nil
}

// tlvs calls fn for each value left. fn returns false for a value of the wrong
// size; unknown tags are its to ignore.
func (c *cursor) tlvs(what Type, fn func(tag uint16, value *cursor) bool) error {
	for !c.bad && len(c.b) > 0 {
		tag := c.u16()
		value := cursor{b: c.text()}
		if c.bad {
			break
		}
		if !fn(tag, &value) || value.bad {
			return fmt.Errorf("%w: %v has a bad value of tag %d", ErrMalformed, what, tag)
		}
	}
	return c.err(what)
}

// appendText appends a u16 length and the text, which the caller keeps under
// 64 KiB; what is more is cut.
func appendText[T []byte | string](b []byte, text T) []byte {
	n := min(len(text), math.MaxUint16)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	return append(b, text[:n]...)
}

func appendTag(b []byte, tag, size uint16) []byte {
	b = binary.BigEndian.AppendUint16(b, tag)
	return binary.BigEndian.AppendUint16(b, size)
}
