package carrier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"hyzer/imaging/manifest"
	"hyzer/multicast/wire"
)

// Limits of a Fetcher.
const (
	AtOnceDefault  = 4 // requests
	triesMax       = 6 // of one chunk, in a row without a byte
	pauseFirst     = 250 * time.Millisecond
	pauseMax       = 5 * time.Second
	connectTime    = 10 * time.Second
	headerTime     = 30 * time.Second
	chunkTime      = 2 * time.Minute // one request
	manifestTime   = 10 * time.Minute
	headerBytesMax = 16 << 10
	errorBytesMax  = 200
	idleTime       = 30 * time.Second
	manifestPath   = "/manifest"
	imagesPath     = "/images/"
)

// Errors that are wrapped.
var (
	// ErrChanged: the server has another version than the session, or than at
	// first.
	ErrChanged = errors.New("the image by HTTP is of another version")
	// ErrRefused: asking again will not help.
	ErrRefused = errors.New("the image is not to be had by HTTP")
	// errCut: the rest may be asked for.
	errCut = errors.New("the reply was cut short")
)

// Config is an image on a server.
type Config struct {
	Server  netip.AddrPort
	From    netip.Addr // address to ask from; not valid: by the routes
	ImageID string
	// FileBytes and MTime are of the version that is wanted, as the master
	// server told; zero: any.
	FileBytes int64
	MTime     time.Time
	AtOnce    int // requests; 0: AtOnceDefault
	// NoManifest leaves the chunks unchecked.
	NoManifest bool
}

// Fetcher fetches the chunks of one version of an image. It may be used by
// several goroutines.
type Fetcher struct {
	cfg   Config
	base  string
	http  *http.Client
	slots chan struct{}
	pause time.Duration // before the second try; then more

	lock     sync.Mutex // of the first request
	found    bool
	etag     string
	size     int64
	manifest *manifest.Manifest // nil: none
}

// New returns a Fetcher; nothing is asked yet. Close ends it.
func New(cfg Config) *Fetcher {
	if cfg.AtOnce <= 0 {
		cfg.AtOnce = AtOnceDefault
	}
	dialer := &net.Dialer{Timeout: connectTime}
	if cfg.From.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(cfg.From, 0))
	}
	transport := &http.Transport{
		DialContext: dialer.DialContext, ResponseHeaderTimeout: headerTime, IdleConnTimeout: idleTime, DisableCompression: true,
		MaxConnsPerHost: cfg.AtOnce, MaxIdleConnsPerHost: cfg.AtOnce, MaxResponseHeaderBytes: headerBytesMax,
	}
	return &Fetcher{
		cfg: cfg, base: "http://" + cfg.Server.String() + imagesPath + escape(cfg.ImageID), slots: make(chan struct{}, cfg.AtOnce),
		http:  &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		pause: pauseFirst,
	}
}

// escape leaves the slashes of a name alone.
func escape(id string) string {
	parts := strings.Split(id, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// Close gives the connections back. Nothing may be under way.
func (f *Fetcher) Close() { f.http.CloseIdleConnections() }

// Describe returns the size of the image file, and its manifest, nil if the
// server has none.
func (f *Fetcher) Describe(ctx context.Context) (fileBytes int64, m *manifest.Manifest, err error) {
	err = f.find(ctx)
	return f.size, f.manifest, err
}

// FetchChunk fills into, which is as long as the chunk.
func (f *Fetcher) FetchChunk(ctx context.Context, chunk int, into []byte) error {
	if err := f.find(ctx); err != nil {
		return err
	}
	from := int64(chunk) * wire.ChunkBytes
	if chunk < 0 || len(into) == 0 || from+int64(len(into)) > f.size {
		return fmt.Errorf("chunk %d with %d bytes is not in a file of %d", chunk, len(into), f.size)
	}
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.slots }()
	got := 0
	err := f.persist(ctx, func(ctx context.Context) (bool, error) {
		n, err := f.part(ctx, from+int64(got), into[got:])
		got += n
		return n > 0, err
	})
	if err == nil && f.manifest != nil {
		err = f.manifest.CheckChunk(chunk, into)
	}
	if err != nil {
		return fmt.Errorf("chunk %d from %s: %w", chunk, f.base, err)
	}
	return nil
}

// persist tries until try succeeds, an error is final, or too many tries in a
// row made no progress.
func (f *Fetcher) persist(ctx context.Context, try func(context.Context) (progress bool, err error)) error {
	pause := f.pause
	for failed := 1; ; failed++ {
		progress, err := try(ctx)
		switch {
		case err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrChanged):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case progress:
			failed, pause = 0, f.pause
		case failed >= triesMax:
			return fmt.Errorf("%d times: %w", failed, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, pauseMax)
	}
}

// part asks for bytes once, and returns how many came.
func (f *Fetcher) part(ctx context.Context, from int64, into []byte) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, chunkTime)
	defer cancel()
	resp, err := f.get(ctx, http.MethodGet, "", http.Header{
		"Range": {fmt.Sprintf("bytes=%d-%d", from, from+int64(len(into))-1)}, "If-Match": {f.etag},
	})
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	want := fmt.Sprintf("bytes %d-%d/%d", from, from+int64(len(into))-1, f.size)
	if got := resp.Header.Get("Content-Range"); resp.StatusCode != http.StatusPartialContent || got != want {
		return 0, fmt.Errorf("%w: asked for %s, got %s with %.60q", ErrRefused, want, resp.Status, got)
	}
	n, err := io.ReadFull(resp.Body, into)
	if err != nil {
		err = fmt.Errorf("%w after %d of %d bytes: %w", errCut, n, len(into), err)
	}
	return n, err
}

// get makes a request and sorts out its failures.
func (f *Fetcher) get(ctx context.Context, method, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.base+path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	req.Header = header
	resp, err := f.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent {
		return resp, nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, errorBytesMax))
	resp.Body.Close()
	err = fmt.Errorf("%s: %.*s", resp.Status, errorBytesMax, strings.TrimSpace(string(text)))
	switch {
	case resp.StatusCode == http.StatusPreconditionFailed:
		err = fmt.Errorf("%w: %w", ErrChanged, err)
	case resp.StatusCode < http.StatusInternalServerError && resp.StatusCode != http.StatusTooManyRequests:
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return nil, err
}
