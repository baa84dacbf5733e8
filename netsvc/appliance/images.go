package appliance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"hyzer/imaging/manifest"
	"hyzer/multicast/master"
	"hyzer/multicast/server"
	"hyzer/multicast/wire"
	"hyzer/netsvc/bootfiles"
)

// imageFiles are the images and their manifests as files by HTTP, for those
// that the master server gives them to.
type imageFiles struct {
	catalog master.Catalog
	log     *slog.Logger
	making  sync.Mutex // one manifest at a time: it reads all of an image
}

// Open implements bootfiles.Files: "<image>" or "<image>/manifest", where an
// image is named as for the master server.
func (i *imageFiles) Open(ctx context.Context, client netip.Addr, name string) (bootfiles.File, error) {
	id, list := strings.CutSuffix(name, "/manifest")
	if _, err := imageRef(id); err != nil {
		id, list = name, false // an image that is called manifest
	}
	image, err := i.catalog.Lookup(ctx, client, id)
	if err != nil {
		return nil, httpError(err)
	}
	file, err := server.OpenFile(image.Path)
	if err != nil {
		return nil, err
	}
	f := imageFile{file}
	if !list {
		return f, nil
	}
	defer file.Close()
	text, err := i.manifest(ctx, image, f)
	if err != nil {
		return nil, err
	}
	return manifestFile{bytes.NewReader(text), f}, nil
}

// httpError makes the master's error one of files.
func httpError(err error) error {
	switch {
	case errors.Is(err, wire.MasterNoImage):
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	case errors.Is(err, wire.MasterTryAgain):
		return fmt.Errorf("%w: %w", bootfiles.ErrBusy, err)
	case errors.Is(err, wire.MasterNoHost), errors.Is(err, wire.MasterNoAccess):
		return fmt.Errorf("%w: %w", bootfiles.ErrRefused, err)
	}
	return err
}

// manifest returns the list that lies beside an image, or makes one and puts it
// there.
func (i *imageFiles) manifest(ctx context.Context, image master.Image, f imageFile) ([]byte, error) {
	i.making.Lock()
	defer i.making.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err // gave up meanwhile
	}
	path := image.Path + manifest.Suffix
	text, err := server.ReadManifest(image.Path, f)
	switch {
	case len(text) > 0:
		return text, nil
	case err != nil:
		i.log.Warn("manifest of an image is made anew", "service", "http", "image", image.ID, "err", err)
	}
	ref, err := imageRef(image.ID)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Build(readerOf{ctx, io.NewSectionReader(f, 0, f.Size())}, manifest.Identity{Version: uint32(max(ref.Version, 0))})
	if err == nil {
		err = f.Check() // not of a file that changed meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("manifest of %s: %w", image.ID, err)
	}
	if text, err = m.Encode(); err != nil {
		return nil, err
	}
	if err := replaceFile(path, text); err != nil {
		i.log.Warn("manifest cannot be kept, and is made again for the next who asks", "service", "http", "image", image.ID, "err", err)
	}
	return text, nil
}

func replaceFile(path string, data []byte) error {
	temp := path + ".tmp"
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// readerOf stops reading when its context ends.
type readerOf struct {
	ctx context.Context
	io.Reader
}

func (r readerOf) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// imageFile is an image as HTTP sees it.
type imageFile struct{ *server.File }

// ModTime implements bootfiles.Stamped.
func (f imageFile) ModTime() time.Time { return f.MTime() }

// ETag implements bootfiles.Tagged: it is the version's name in mode 2.
func (f imageFile) ETag() string { return fmt.Sprintf(`"%016x"`, f.Identity().ImageID()) }

// manifestFile is a manifest in memory, with the tag of its image.
type manifestFile struct {
	*bytes.Reader
	image imageFile
}

func (m manifestFile) Size() int64        { return m.Reader.Size() }
func (m manifestFile) Close() error       { return nil }
func (m manifestFile) ModTime() time.Time { return m.image.MTime() }
func (m manifestFile) ETag() string       { return m.image.ETag() }
