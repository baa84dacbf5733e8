package pebblekv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
)

// The child is this test binary, started again as a process of its own that
// writes to a store until it is killed, and tells what was acknowledged.
const (
	childDirEnv     = "HYZER_KV_CHILD_DIR"
	childWriters    = 8
	childValueBytes = 20_000
	childMemTable   = 1 << 20
	childWatermark  = 8 << 20
)

// TestChild is no test of its own.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDirEnv)
	if dir == "" {
		t.Skip("runs only as a child of TestKill and TestFullDisk")
	}
	s, err := pebblekv.Open(dir, childOptions())
	if err != nil {
		t.Fatal(err)
	}
	var out sync.Mutex
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	var wg sync.WaitGroup
	for i := range childWriters {
		wg.Go(func() { childWrite(s, i, say) })
	}
	wg.Wait()
}

func childOptions() pebblekv.Options {
	opts := quiet(nil)
	opts.MemTableBytes = childMemTable
	opts.WatermarkBytes = childWatermark
	return opts
}

// childWrite puts keys "i/n" for ever, beginning after those that are there.
func childWrite(s *pebblekv.Store, i int, say func(string, ...any)) {
	n := len(keysOf(s, i))
	for {
		_, err := put(s, childKey(i, n), childValue(i, n))
		switch {
		case err == nil:
			say("acked %d %d", i, n)
			n++
		case errors.Is(err, kv.ErrDiskFull):
			say("full %d %d", i, n)
		default:
			say("error %v", err)
			return
		}
	}
}

func childKey(i, n int) string { return fmt.Sprintf("%d/%08d", i, n) }

// childValue cannot be compressed.
func childValue(i, n int) []byte {
	rng := rand.NewChaCha8([32]byte{byte(i), byte(n), byte(n >> 8), byte(n >> 16)})
	b := make([]byte, childValueBytes)
	_, _ = rng.Read(b) // never fails
	return b
}

func keysOf(s *pebblekv.Store, i int) (keys []string) {
	err := s.View(context.Background(), func(r kv.Reader) error {
		return r.Scan(fmt.Appendf(nil, "%d/", i), func(k, v []byte) error {
			keys = append(keys, string(k))
			return nil
		})
	})
	if err != nil {
		panic(err)
	}
	return keys
}

// child is a running child.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
	pipe  io.Closer
	acked [childWriters]int // next n of each writer, as far as it told
	fulls int
}

func startChild(t *testing.T, dir string, acked [childWriters]int) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childDirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd, lines: bufio.NewScanner(pipe), pipe: pipe, acked: acked}
	t.Cleanup(func() { c.kill() })
	return c
}

// read takes in lines until done says so, or the child ends.
func (c *child) read(t *testing.T, done func() bool) {
	for !done() && c.lines.Scan() {
		c.line(t, c.lines.Text())
	}
}

func (c *child) line(t *testing.T, line string) {
	var i, n int
	if _, err := fmt.Sscanf(line, "acked %d %d", &i, &n); err == nil {
		if n != c.acked[i] {
			t.Errorf("writer %d acknowledged %d after %d", i, n, c.acked[i]-1)
		}
		c.acked[i] = n + 1
		return
	}
	if strings.HasPrefix(line, "full ") {
		c.fulls++
	} else if strings.HasPrefix(line, "error ") {
		t.Errorf("child: %s", line)
	}
}

// kill ends the child as if the power went for it alone.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.cmd.Wait()
}

// killed kills the child and takes in what it said last.
func (c *child) killed(t *testing.T) {
	_ = c.cmd.Process.Kill()
	for c.lines.Scan() {
		c.line(t, c.lines.Text())
	}
	c.kill()
}

// TestKill kills a process that writes, again and again, and compares what it
// acknowledged with what is there after.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var acked [childWriters]int
	for round := range 3 {
		c := startChild(t, dir, acked)
		lines := 0
		c.read(t, func() bool { lines++; return lines > 300+round*97 })
		c.killed(t)
		acked = checkKilled(t, dir, c.acked)
	}
}

// checkKilled returns how many keys of each writer are there: all that were
// acknowledged, and perhaps the one that was on its way.
func checkKilled(t *testing.T, dir string, acked [childWriters]int) (there [childWriters]int) {
	t.Helper()
	report, err := pebblekv.Verify(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := pebblekv.Open(dir, childOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Revision() != report.Revision {
		t.Errorf("opened at revision %d, verified at %d", s.Revision(), report.Revision)
	}
	for i := range there {
		keys := keysOf(s, i)
		if there[i] = len(keys); there[i] < acked[i] || there[i] > acked[i]+1 {
			t.Errorf("writer %d: %d keys, %d were acknowledged", i, there[i], acked[i])
		}
		for n, key := range keys {
			if key != childKey(i, n) {
				t.Fatalf("writer %d: key %s in the place of %s", i, key, childKey(i, n))
			}
		}
	}
	return there
}
