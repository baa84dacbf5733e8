package qemu_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"hyzer/bench/qemu"
)

// TestConsole waits for texts that are there, that come, and that never come.
func TestConsole(t *testing.T) {
	t.Parallel()
	var c qemu.Console
	write := func(text string) {
		if _, err := c.Write([]byte(text)); err != nil {
			t.Error(err)
		}
	}
	write("\x1b[2J\x1b[01;01Hfirst\r\n")
	at, err := c.Await(t.Context(), 0, "first")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Text(); got != "first\n" {
		t.Errorf("text is %q", got)
	}
	go func() {
		write("sec")
		write("ond\n")
	}()
	if at, err = c.Await(t.Context(), at, "second"); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Await(ended, at, "first"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v of a text that is before the mark", err)
	}
	write("\nKernel panic - not syncing\n")
	if _, err := c.Await(t.Context(), at, "third"); err == nil || !strings.Contains(err.Error(), "Kernel panic - not syncing") {
		t.Errorf("error %v after a panic", err)
	}
}
