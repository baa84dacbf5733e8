package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/multicast/master"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
)

// Limits of a Mirror.
const (
	statusTime = 5 * time.Second // as the C subboss
	fetchesMax = 4               // at once
	// asksMax is how many questions the parent is asked at once: of one address it
	// hears 32, some of which may be those before. Of more it hears none, and is asked
	// up to askTries times.
	asksMax      = 16
	askTries     = 3
	askPause     = 100 * time.Millisecond
	fetchRetry   = 10 * time.Second
	allowedMax   = 1 << 16 // clients and images that are remembered
	nameBytesMax = 200     // of a file; longer names are refused
	parentPause  = time.Second
	busyTimeMax  = 2 * time.Minute // of a parent that could send later
	joinTimeout  = time.Minute
	idleTimeout  = 2 * time.Minute
	tempSuffix   = ".fetch"
	folderMode   = 0o755
)

// Config is what a Mirror needs.
type Config struct {
	Parent netip.AddrPort
	// Iface is the address to ask and to receive from.
	Iface     netip.Addr
	ShareHost bool // the parent is on this machine
	// Dir is where the images are kept; nothing else may be there.
	Dir string
	// BytesMax bounds what the images take, 0: only the file system does;
	// FreeBytesMin is what stays free of that. The images that were not used for
	// longest make room for those that come.
	BytesMax, FreeBytesMin int64
	// Methods are how the parent may send; 0: unicast and multicast.
	Methods wire.Methods
	Log     *slog.Logger // nil: slog.Default()
}

// Mirror implements master.Catalog.
type Mirror struct {
	cfg    Config
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup
	cache  *cache
	asks   chan struct{}

	busyTime time.Duration

	lock     sync.Mutex
	fetching map[string]bool      // by image
	retryAt  map[string]time.Time // of images whose fetch failed
	allowed  map[grant]bool
}

// grant is what the parent allowed.
type grant struct {
	client netip.Addr
	image  string
}

// New makes the folder and removes what an earlier run did not finish.
func New(cfg Config) (*Mirror, error) {
	if cfg.Methods == 0 {
		cfg.Methods = wire.Unicast | wire.Multicast
	}
	m := &Mirror{cfg: cfg, log: cfg.Log, fetching: map[string]bool{}, retryAt: map[string]time.Time{}, allowed: map[grant]bool{}, asks: make(chan struct{}, asksMax), busyTime: busyTimeMax}
	if m.log == nil {
		m.log = slog.Default()
	}
	m.log = m.log.With("service", "frisbee-mirror", "parent", cfg.Parent.String())
	m.cache = newCache(cfg, m.log)
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if err := os.MkdirAll(cfg.Dir, folderMode); err != nil {
		return nil, err
	}
	left, err := filepath.Glob(filepath.Join(cfg.Dir, "*"+tempSuffix))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return m, err
}

// UsedBy tells how to know whether the file at a path is being sent. Until then
// nothing is evicted.
func (m *Mirror) UsedBy(inUse func(path string) bool) {
	m.cache.lock.Lock()
	defer m.cache.lock.Unlock()
	m.cache.inUse = inUse
}

// Close ends the fetches and waits for them.
func (m *Mirror) Close() {
	m.lock.Lock()
	m.cancel() // under the lock: nothing starts after it
	m.lock.Unlock()
	m.all.Wait()
}

// Lookup implements master.Catalog.
func (m *Mirror) Lookup(ctx context.Context, client netip.Addr, id string) (master.Image, error) {
	path, err := m.path(id)
	if err != nil {
		return master.Image{}, err
	}
	image := master.Image{ID: id, Path: path}
	ask, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	answer, err := m.status(ask, client, id)
	var code wire.MasterError
	switch {
	case errors.As(err, &code):
		m.forget(grant{client, id})
		return master.Image{}, err
	case err != nil:
		return image, m.withoutParent(grant{client, id}, path, err)
	}
	m.remember(grant{client, id})
	if m.cache.use(path, func() bool { return same(path, answer.GetReply) }) {
		return image, nil
	}
	if most := m.cfg.BytesMax; most > 0 && answer.FileBytes > uint64(most) || answer.FileBytes > math.MaxInt64 {
		return master.Image{}, fmt.Errorf("%w of %d bytes: all may have %d: %w", errNoRoom, answer.FileBytes, most, wire.MasterFailed)
	}
	m.fetch(client, id, path, int64(answer.FileBytes))
	return master.Image{}, fmt.Errorf("image %s is fetched from the parent: %w", id, &master.Busy{Signature: answer.Signature, FileBytes: answer.FileBytes})
}

// status asks the parent about an image, when it is our turn.
func (m *Mirror) status(ctx context.Context, client netip.Addr, id string) (a master.Answer, err error) {
	select {
	case m.asks <- struct{}{}:
	case <-ctx.Done():
		return a, fmt.Errorf("waiting to ask the parent: %w", ctx.Err())
	}
	defer func() { <-m.asks }()
	for range askTries {
		a, err = master.Get(ctx, m.query(client, id, true))
		if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
			return a, err
		}
		select {
		case <-time.After(askPause):
		case <-ctx.Done():
			return a, err
		}
	}
	return a, err
}

// withoutParent says whether a client may have what is here.
func (m *Mirror) withoutParent(g grant, path string, why error) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.allowed[g] && m.cache.use(path, func() bool { _, err := os.Stat(path); return err == nil }) {
		m.log.Warn("the parent does not answer; the copy here is served to a client that it allowed before",
			"node", g.client.String(), "image", g.image, "err", why)
		return nil
	}
	return fmt.Errorf("%w: %w", why, wire.MasterTryAgain)
}

func (m *Mirror) remember(g grant) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if len(m.allowed) >= allowedMax {
		clear(m.allowed) // they ask again
	}
	m.allowed[g] = true
}

func (m *Mirror) forget(g grant) {
	m.lock.Lock()
	defer m.lock.Unlock()
	delete(m.allowed, g)
}

func (m *Mirror) query(client netip.Addr, id string, status bool) master.Query {
	return master.Query{Server: m.cfg.Parent, From: m.cfg.Iface, Request: wire.GetRequest{
		Host: client, Methods: m.cfg.Methods, Status: status, HTTP: !status, ImageID: id,
	}}
}

// path is the file of an image: its name, with all that could lead elsewhere
// written as numbers.
func (m *Mirror) path(id string) (string, error) {
	name := url.PathEscape(id)
	_, list := server.ImageOfManifest(name)
	if id == "" || id[0] == '.' || len(name) > nameBytesMax || list || strings.HasSuffix(name, tempSuffix) {
		return "", fmt.Errorf("image %.60q: no name for a file: %w", id, wire.MasterFailed)
	}
	return filepath.Join(m.cfg.Dir, name), nil
}

// same says whether the file here is the parent's version.
func same(path string, parent wire.GetReply) bool {
	info, err := os.Stat(path)
	if err != nil || uint64(info.Size()) != parent.FileBytes {
		return false
	}
	mtime, ok := parent.Signature.MTime()
	return ok && info.ModTime().Unix() == int64(mtime)
}
