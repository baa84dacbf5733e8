package carrier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"hyzer/imaging/manifest"
)

// find asks once which version the server has. A failure is not kept: the next
// call asks again.
func (f *Fetcher) find(ctx context.Context) error {
	f.lock.Lock()
	defer f.lock.Unlock()
	if f.found {
		return nil
	}
	err := f.persist(ctx, func(ctx context.Context) (bool, error) { return false, f.head(ctx) })
	if err == nil && !f.cfg.NoManifest {
		err = f.persist(ctx, func(ctx context.Context) (bool, error) { return false, f.list(ctx) })
	}
	if err != nil {
		return fmt.Errorf("%s: %w", f.base, err)
	}
	f.found = true
	return nil
}

func (f *Fetcher) head(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, headerTime)
	defer cancel()
	resp, err := f.get(ctx, http.MethodHead, "", http.Header{})
	if err != nil {
		return err
	}
	resp.Body.Close()
	f.etag, f.size = resp.Header.Get("ETag"), resp.ContentLength
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	switch {
	case f.etag == "" || f.size <= 0:
		return fmt.Errorf("%w: the reply names no version (ETag %q) or size (%d)", ErrRefused, f.etag, f.size)
	case f.cfg.FileBytes != 0 && f.size != f.cfg.FileBytes:
		return fmt.Errorf("%w: it has %d bytes, the session sends %d", ErrChanged, f.size, f.cfg.FileBytes)
	case !f.cfg.MTime.IsZero() && (err != nil || modified.Unix() != f.cfg.MTime.Unix()):
		return fmt.Errorf("%w: it is of %q, the session sends one of %v", ErrChanged, resp.Header.Get("Last-Modified"), f.cfg.MTime.UTC())
	}
	return nil
}

// list fetches the manifest. A server without is no error.
func (f *Fetcher) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, manifestTime)
	defer cancel()
	resp, err := f.get(ctx, http.MethodGet, manifestPath, http.Header{"If-Match": {f.etag}})
	if err != nil {
		if errors.Is(err, ErrRefused) {
			return nil
		}
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, manifest.BytesMax+1))
	if err != nil {
		return err
	}
	m, err := manifest.Decode(text)
	if err == nil {
		err = m.CheckSize(f.size)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	f.manifest = m
	return nil
}
