package qemu

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
)

// consoleBytesMax bounds what a machine may print; it is told by an error of
// Write, which stops QEMU's output.
const consoleBytesMax = 8 << 20

// fatal are lines after which a machine boots no more.
var fatal = [...]string{
	"Kernel panic", "Could not boot image", "Nothing to boot", "No bootable device", "UiApp", "X64 Exception", "level=ERROR",
}

// Console is what machines print on their serial port: firmware, loaders and
// kernels alike.
type Console struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed at the next output
}

// Write implements io.Writer.
func (c *Console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.text)+len(p) > consoleBytesMax {
		return 0, fmt.Errorf("console: over %d bytes", consoleBytesMax)
	}
	c.text = append(c.text, p...)
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	return len(p), nil
}

// Mark is a place in the output.
type Mark int

// Mark is the end of the output now.
func (c *Console) Mark() Mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Mark(len(c.text))
}

// Text is all output, without the escape sequences of terminals.
func (c *Console) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return plain(c.text)
}

// Await waits until a text is printed after a mark, and returns the mark after
// it. Output that says that the machine will not boot is an error.
func (c *Console) Await(ctx context.Context, from Mark, text string) (Mark, error) {
	for {
		c.mu.Lock()
		rest := c.text[min(int(from), len(c.text)):]
		at := bytes.Index(rest, []byte(text))
		bad := firstFatal(rest)
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		switch {
		case at >= 0:
			return from + Mark(at+len(text)), nil
		case bad != "":
			return from, fmt.Errorf("console: %q instead of %q", bad, text)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return from, fmt.Errorf("console: no %q: %w", text, context.Cause(ctx))
		}
	}
}

func firstFatal(text []byte) string {
	for _, f := range fatal {
		if at := bytes.Index(text, []byte(f)); at >= 0 {
			line, _, _ := bytes.Cut(text[at:], []byte("\n"))
			return strings.TrimSpace(plain(line))
		}
	}
	return ""
}

// plain drops the escape sequences of ECMA-48 and carriage returns.
func plain(text []byte) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch b := text[i]; {
		case b == 0x1b && i+1 < len(text) && text[i+1] == '[':
			for i += 2; i < len(text) && (text[i] < 0x40 || text[i] > 0x7e); i++ {
			}
		case b == 0x1b:
			i++
		case b != '\r':
			out.WriteByte(b)
		}
	}
	return out.String()
}
