package mirror

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hyzer/multicast/server"
)

// testCache is a cache with its own clock and file system.
type testCache struct {
	*cache
	t     *testing.T
	clock time.Time
	disk  int64 // bytes of the file system
	sent  map[string]bool
	log   strings.Builder
}

func newTestCache(t *testing.T, bytesMax, freeMin, disk int64) *testCache {
	t.Helper()
	c := &testCache{t: t, clock: time.Unix(1_700_000_000, 0), disk: disk, sent: map[string]bool{}}
	c.cache = newCache(Config{Dir: t.TempDir(), BytesMax: bytesMax, FreeBytesMin: freeMin}, slog.New(slog.NewTextHandler(&c.log, nil)))
	c.now = func() time.Time { return c.clock }
	c.inUse = func(path string) bool { return c.sent[filepath.Base(path)] }
	c.free = func() (int64, error) {
		free := c.disk
		for _, n := range c.sizes() {
			free -= n
		}
		return free, nil
	}
	return c
}

// sizes are those of all files.
func (c *testCache) sizes() map[string]int64 {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	sizes := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			c.t.Fatal(err)
		}
		sizes[e.Name()] = info.Size()
	}
	return sizes
}

func (c *testCache) path(name string) string { return filepath.Join(c.dir, name) }

// put makes a file of that size.
func (c *testCache) put(name string, bytes int) {
	if err := os.WriteFile(c.path(name), make([]byte, bytes), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// fetched reserves room for an image and puts it there.
func (c *testCache) fetched(name string, bytes int) error {
	if err := c.reserve(c.path(name), int64(bytes)); err != nil {
		return err
	}
	defer c.release(c.path(name))
	c.put(name, bytes)
	c.ask(name)
	return nil
}

// ask is a client's question for an image.
func (c *testCache) ask(name string) { c.use(c.path(name), func() bool { return true }) }

func (c *testCache) later(d time.Duration) { c.clock = c.clock.Add(d) }

func (c *testCache) want(when string, names ...string) {
	c.t.Helper()
	if got := slices.Sorted(maps.Keys(c.sizes())); !slices.Equal(got, names) {
		c.t.Errorf("%s: there are %v, want %v", when, got, names)
	}
}

// TestEvict: the images that were not used for longest make room, but none that
// is sent, was asked for lately, or is fetched; and none goes in vain.
func TestEvict(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string]struct{ bytesMax, freeMin, disk int64 }{
		"bytes": {bytesMax: 100, disk: 1 << 40}, "free space": {freeMin: 50, disk: 150}, "both": {bytesMax: 100, freeMin: 50, disk: 150},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newTestCache(t, disk.bytesMax, disk.freeMin, disk.disk)
			step := func(when string, err error, names ...string) {
				t.Helper()
				if err != nil {
					t.Errorf("%s: %v", when, err)
				}
				c.want(when, names...)
				c.later(time.Hour)
			}
			step("first", c.fetched("a", 40), "a")
			step("second", c.fetched("b", 30), "a", "b")
			step("with its manifest", c.fetched("c", 20), "a", "b", "c")
			c.put(filepath.Base(server.ManifestPath("c")), 10)
			c.ask("a")
			step("b is the oldest", c.fetched("d", 25), "a", "c", "c"+manifestSuffix(), "d")
			step("c goes with its manifest", c.fetched("e", 30), "a", "d", "e")
			c.sent["a"], c.sent["d"] = true, true
			step("those that are sent stay", c.fetched("f", 35), "a", "d", "f")
			if err := c.fetched("g", 60); !errors.Is(err, errNoRoom) {
				t.Errorf("too large for what may go: %v", err)
			}
			c.want("none goes in vain", "a", "d", "f")
			c.sent["a"] = false
			step("until one may go", c.fetched("h", 60), "d", "h")
			c.later(-time.Hour + recentUse - time.Second)
			if err := c.fetched("i", 70); !errors.Is(err, errNoRoom) {
				t.Errorf("h was asked for just now: %v", err)
			}
			c.later(2 * time.Second)
			step("h was asked for a while ago", c.fetched("i", 70), "d", "i")
			for _, say := range []string{"image evicted", "image=b bytes=30", "image=c bytes=30", "used=2023-"} {
				if !strings.Contains(c.log.String(), say) {
					t.Errorf("no %q in the log:\n%s", say, c.log.String())
				}
			}
		})
	}
}

func manifestSuffix() string { return server.ManifestPath("") }

// TestClockSetBack: images that were used in what is the future now may go.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	c := newTestCache(t, 100, 0, 1<<40)
	if err := c.fetched("a", 80); err != nil {
		t.Fatal(err)
	}
	c.later(-24 * time.Hour)
	if err := c.fetched("b", 80); err != nil {
		t.Error(err)
	}
	c.want("in the end", "b")
	if err := c.fetched("c", 80); !errors.Is(err, errNoRoom) {
		t.Errorf("b was asked for just now: %v", err)
	}
}

// TestReserve: what is being fetched has its room, whether it is on the disk by
// then or not.
func TestReserve(t *testing.T) {
	t.Parallel()
	c := newTestCache(t, 0, 0, 100<<20)
	if err := c.reserve(c.path("a"), 60<<20); err != nil {
		t.Fatal(err)
	}
	if err := c.reserve(c.path("b"), 50<<20); !errors.Is(err, errNoRoom) {
		t.Errorf("beside one that is coming: %v", err)
	}
	c.put("a"+tempSuffix, 30<<20)
	if err := c.reserve(c.path("b"), 50<<20); !errors.Is(err, errNoRoom) {
		t.Errorf("half of it is there: %v", err)
	}
	if err := c.reserve(c.path("b"), 30<<20); err != nil {
		t.Errorf("there is room for this: %v", err)
	}
	c.release(c.path("a"))
	if err := os.Remove(c.path("a" + tempSuffix)); err != nil {
		t.Fatal(err)
	}
	if err := c.reserve(c.path("c"), 70<<20); err != nil {
		t.Errorf("after the first failed: %v", err)
	}
}

// TestEvictNothing: where it is not known what is sent, and for a version that
// takes the place of one that is being fetched, nothing goes.
func TestEvictNothing(t *testing.T) {
	t.Parallel()
	c := newTestCache(t, 100, 0, 1<<40)
	if err := c.fetched("a", 80); err != nil {
		t.Fatal(err)
	}
	c.later(time.Hour)
	inUse := c.inUse
	c.inUse = nil
	if err := c.reserve(c.path("b"), 80); !errors.Is(err, errNoRoom) {
		t.Errorf("sessions are not known: %v", err)
	}
	c.inUse = inUse
	if err := c.reserve(c.path("a"), 10); err != nil {
		t.Fatal(err)
	}
	if err := c.reserve(c.path("b"), 80); !errors.Is(err, errNoRoom) {
		t.Errorf("another version of a is fetched: %v", err)
	}
	c.want("in the end", "a")
	c.free = func() (int64, error) { return 0, errors.New("no disk") }
	if err := c.reserve(c.path("c"), 1); err == nil {
		t.Error("a file system that does not answer")
	}
}

// TestUseOutlives: what was used when is known to the next process.
func TestUseOutlives(t *testing.T) {
	t.Parallel()
	c := newTestCache(t, 100, 0, 1<<40)
	for i := range 4 {
		if err := c.fetched(fmt.Sprint(i), 25); err != nil {
			t.Fatal(err)
		}
		c.later(time.Hour)
	}
	c.ask("0")
	c.ask("1")
	c.later(time.Hour)
	mtime := time.Unix(1000, 0)
	if err := os.Chtimes(c.path("0"), time.Time{}, mtime); err != nil {
		t.Fatal(err)
	}
	next := newTestCache(t, 100, 0, 1<<40)
	next.dir, next.clock = c.dir, c.clock
	next.ask("0")
	if err := next.fetched("new", 50); err != nil {
		t.Fatal(err)
	}
	next.want("of a new process", "0", "1", "new")
	if info, err := os.Stat(next.path("0")); err != nil || !info.ModTime().Equal(mtime) {
		t.Errorf("the version of an image changed with its use: %v, %v", info, err)
	}
}
