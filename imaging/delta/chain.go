package delta

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"hyzer/imaging/sig"
	"hyzer/imaging/view"
)

// chainMax bounds how many images can be on top of each other.
const chainMax = 256

// Chain is a disk of image files: a full image and deltas over it.
type Chain struct {
	*view.Disk
	Files []*view.File // as they were named
}

// ChainOptions say how a Chain is opened.
type ChainOptions struct {
	View view.Options // for all images; CacheBytes is for all together
	// AnyBase opens a delta over whatever it is named after, or over nothing.
	AnyBase bool
}

// OpenChain opens the full image at the first path with the deltas at the
// others over it, in their order. Each marked delta is held against what is
// below it: by the mark there, by the signature in <path>.sig, or by hashes.
func OpenChain(ctx context.Context, paths []string, opts ChainOptions) (*Chain, error) {
	if len(paths) == 0 || len(paths) > chainMax {
		return nil, fmt.Errorf("%d images on top of each other, want 1 to %d", len(paths), chainMax)
	}
	if opts.View.CacheBytes == 0 {
		opts.View.CacheBytes = view.CacheBytesDefault
	}
	opts.View.CacheBytes /= int64(len(paths))
	c := &Chain{}
	for _, path := range paths {
		f, err := view.OpenFile(path, opts.View)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Files = append(c.Files, f)
	}
	if err := c.stack(ctx, opts); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Chain) stack(ctx context.Context, opts ChainOptions) error {
	layers := make([]view.Layer, len(c.Files))
	for i, f := range c.Files {
		layers[i].Image = f.Image
		if i+1 == len(c.Files) || opts.AnyBase {
			continue
		}
		if m := c.Files[i+1].Mark(); !m.Delta || m.Base == f.Mark().State {
			continue
		}
		var err error
		if layers[i].Sig, err = sig.ReadFile(f.Path + ".sig"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	var err error
	c.Disk, err = view.Stack(ctx, opts.AnyBase, layers...)
	var refused *view.LayerError
	for tried := 0; errors.Is(err, view.ErrWrongBase) && errors.As(err, &refused) && refused.Layer > tried; {
		// What marks and signatures do not tell, hashes may.
		tried = refused.Layer
		below := layers[:tried]
		if below[tried-1].Sig, err = hashBelow(ctx, below, c.Files[0].Path, opts.View); err != nil {
			return err
		}
		c.Disk, err = view.Stack(ctx, false, layers...)
	}
	if errors.As(err, &refused) {
		return refused.Named(c.Files[refused.Layer].Path, c.Files[max(0, refused.Layer-1)].Path)
	}
	return err
}

// Close closes the files.
func (c *Chain) Close() error {
	var err error
	for _, f := range c.Files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// hashBelow makes the signature of what a delta is to go on top of.
func hashBelow(ctx context.Context, below []view.Layer, path string, opts view.Options) (*sig.File, error) {
	if len(below) == 1 {
		return hash(ctx, path, sig.HashOptions{Decode: opts.Decode})
	}
	d, err := view.Stack(ctx, true, below...)
	if err != nil {
		return nil, err
	}
	return Sign(ctx, d, sig.SHA1, sig.BlockSectorsDefault)
}

// hash makes the signature of an image as imagehash -X does.
func hash(ctx context.Context, path string, opts sig.HashOptions) (*sig.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	opts.JoinSpans = true
	return sig.Image(ctx, f, size, opts)
}
