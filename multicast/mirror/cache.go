package mirror

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/multicast/server"
)

// Limits of a cache.
const (
	// recentUse is how long an image stays that was asked for: its client may be
	// on the way to a session, or between two requests by HTTP.
	recentUse = 5 * time.Minute
	// touchPause is how often the use of an image is written down.
	touchPause = time.Minute
)

// errNoRoom is wrapped if an image cannot be kept here.
var errNoRoom = errors.New("no room for an image")

// cache is the folder of a mirror's images, within its bounds. When an image was
// last used is the access time of its file, which is set, not left to the
// kernel: so it outlives the process, and there is no index that could disagree
// with the folder.
type cache struct {
	dir      string
	bytesMax int64 // of all images; 0: not bounded
	freeMin  int64 // bytes of the file system that stay free
	now      func() time.Time
	free     func() (int64, error) // bytes of the file system
	log      *slog.Logger

	lock     sync.Mutex
	inUse    func(path string) bool // by a session; nil: not known, nothing is evicted
	used     map[string]time.Time   // by path, as was written down
	reserved map[string]int64       // bytes of those that are fetched, by path
}

func newCache(cfg Config, log *slog.Logger) *cache {
	return &cache{
		dir: cfg.Dir, bytesMax: cfg.BytesMax, freeMin: cfg.FreeBytesMin, now: time.Now, log: log,
		free: func() (int64, error) { return freeBytes(cfg.Dir) },
		used: map[string]time.Time{}, reserved: map[string]int64{},
	}
}

func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// use says whether the image at path is good, and if so keeps it for a while.
func (c *cache) use(path string, good func() bool) bool {
	c.lock.Lock() // it is not evicted between the two
	defer c.lock.Unlock()
	ok := good()
	if ok {
		c.touch(path)
	}
	return ok
}

// touch notes that an image is used now. The caller holds the lock.
func (c *cache) touch(path string) {
	now := c.now()
	if now.Sub(c.used[path]) < touchPause {
		return
	}
	c.used[path] = now
	if err := os.Chtimes(path, now, time.Time{}); err != nil {
		c.log.Warn("the use of an image cannot be noted; it may be evicted too soon", "image", filepath.Base(path), "err", err)
	}
}

// kept is an image in the folder.
type kept struct {
	path  string
	bytes int64 // its manifest included
	used  time.Time
}

// list returns the images that are there, those unused for longest first.
func (c *cache) list() ([]kept, error) {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, err
	}
	bytes := map[string]int64{}
	var images []kept
	for _, e := range entries {
		var st unix.Stat_t
		path := filepath.Join(c.dir, e.Name())
		if !e.Type().IsRegular() || strings.HasSuffix(path, tempSuffix) || unix.Lstat(path, &st) != nil {
			continue // gone just now, or none of ours
		}
		bytes[path] = st.Size
		images = append(images, kept{path: path, used: time.Unix(st.Atim.Unix())})
	}
	images = slices.DeleteFunc(images, func(k kept) bool {
		image, of := server.ImageOfManifest(k.path)
		_, there := bytes[image]
		return of && there
	})
	for i := range images {
		k := &images[i]
		k.bytes = bytes[k.path] + bytes[server.ManifestPath(k.path)]
	}
	slices.SortFunc(images, func(a, b kept) int { return a.used.Compare(b.used) })
	return images, nil
}

// room is how full the folder is.
type room struct {
	images  []kept
	bytes   int64 // of images, and of those that are fetched
	coming  int64 // of those that are fetched, not on the disk yet
	free    int64
	lacking int64 // for what is asked for; none if not above 0
}

func (c *cache) look(bytes int64) (r room, err error) {
	if r.images, err = c.list(); err != nil {
		return r, err
	}
	if r.free, err = c.free(); err != nil {
		return r, err
	}
	for _, k := range r.images {
		r.bytes += k.bytes
	}
	for path, n := range c.reserved {
		r.bytes += n
		var st unix.Stat_t
		if unix.Lstat(path+tempSuffix, &st) == nil {
			n -= st.Blocks * 512
		}
		r.coming += max(n, 0)
	}
	r.lacking = r.coming + bytes + c.freeMin - r.free
	if c.bytesMax > 0 {
		r.lacking = max(r.lacking, r.bytes+bytes-c.bytesMax)
	}
	return r, nil
}

// reserve makes room for an image that is going to be fetched, and keeps it
// until release. If all that may go is too little, nothing goes.
func (c *cache) reserve(path string, bytes int64) error {
	c.lock.Lock()
	defer c.lock.Unlock()
	r, err := c.look(bytes)
	if err != nil {
		return err
	}
	if r.lacking > 0 {
		victims, enough := c.victims(r)
		if !enough {
			return fmt.Errorf("%w of %d bytes: images have %d (bytes_max %d), %d are free (free_bytes_min %d), and only %d of %d images are neither sent nor were asked for in %v",
				errNoRoom, bytes, r.bytes, c.bytesMax, r.free, c.freeMin, len(victims), len(r.images), recentUse)
		}
		if err := c.evict(victims); err != nil {
			return err
		}
	}
	c.reserved[path] = bytes
	return nil
}

// victims are the images that make room for what is lacking, those unused for
// longest.
func (c *cache) victims(r room) (found []kept, enough bool) {
	for _, k := range r.images {
		if r.lacking <= 0 {
			break
		}
		if c.inUse == nil || c.inUse(k.path) || c.recent(k) || c.reserved[k.path] > 0 {
			continue
		}
		found = append(found, k)
		r.lacking -= k.bytes
	}
	return found, r.lacking <= 0
}

// recent says whether an image was asked for just now. By a time that is still to
// come it was before the clock was set back: what this run knows counts then.
func (c *cache) recent(k kept) bool {
	now, used := c.now(), k.used
	if used.After(now) {
		used = c.used[k.path]
	}
	return !used.After(now) && now.Sub(used) < recentUse
}

// evict removes images. Each is there whole or not at all, whenever this ends.
func (c *cache) evict(victims []kept) error {
	for _, k := range victims {
		err := os.Remove(k.path)
		if gone := os.Remove(server.ManifestPath(k.path)); !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
		if err != nil {
			return fmt.Errorf("evicting an image: %w", err)
		}
		delete(c.used, k.path)
		c.log.Info("image evicted, for it was not used for longest", "image", filepath.Base(k.path), "bytes", k.bytes, "used", k.used.UTC())
	}
	return syncDir(c.dir)
}

// release gives back what reserve kept; by now it is on the disk, or will not be.
func (c *cache) release(path string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	delete(c.reserved, path)
}
