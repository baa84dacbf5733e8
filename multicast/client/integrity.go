package client

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"hyzer/imaging/manifest"
)

// Bounds of what is fetched again.
const (
	// manifestTriesMax is how many damaged manifests are thrown away.
	manifestTriesMax = 4
	// badChunksMax is how many damaged chunks are fetched again in one load,
	// and badTriesMax how often one of them is.
	badChunksMax = 256
	badTriesMax  = 5
)

// ErrNoManifest is wrapped when a manifest is wanted and there is none, or not
// the right one.
var ErrNoManifest = errors.New("no manifest to check the image by")

// Integrity says what the chunks of a load are checked by before the sink gets
// them. The zero value takes the manifest that the server of mode 2 has, if it
// has one.
type Integrity struct {
	// Manifest is known already; nil: the server is asked for it.
	Manifest *manifest.Manifest
	// Signer must have signed the manifest, and there must be one; nil: whoever
	// sends it is believed.
	Signer ed25519.PublicKey
	// Off asks for none.
	Off bool
}

// inspector finds the manifest of a load, and counts what did not agree with
// it. Until it is settled no chunk goes to the sink.
type inspector struct {
	Integrity
	settled  bool
	manifest *manifest.Manifest // nil: none
	rejected int                // manifests
	bad      map[int]int        // chunks
	held     []Chunk
}

// settle looks whether it is known by now how chunks are checked.
func (s *shell) settle(now time.Time) error {
	i := &s.inspector
	geo, joined := s.r.Joined()
	if i.settled || !joined {
		return nil
	}
	if i.Manifest != nil {
		return s.adopt(i.Manifest, i.check(i.Manifest, geo.FileBytes()))
	}
	b, coming := s.r.Manifest()
	if b == nil {
		if coming {
			return nil
		}
		return s.adopt(nil, ErrNoManifest)
	}
	m, err := manifest.Decode(b)
	if err == nil {
		err = i.check(m, geo.FileBytes())
	}
	if i.rejected++; err != nil && i.rejected < manifestTriesMax {
		s.log.Warn("manifest is not right, asking for it again", "service", "frisbee", "err", err)
		s.r.RejectManifest(now)
		return nil
	}
	return s.adopt(m, err)
}

func (i *inspector) check(m *manifest.Manifest, fileBytes int64) error {
	if err := m.CheckSize(fileBytes); err != nil {
		return err
	}
	if i.Signer == nil {
		return nil
	}
	return m.Verify(i.Signer)
}

// adopt ends the search: with m, or with what was wrong with it. Then the load
// goes on without, unless it was said who must have signed it.
func (s *shell) adopt(m *manifest.Manifest, err error) error {
	i := &s.inspector
	i.settled = true
	switch {
	case err == nil:
		i.manifest = m
	case i.Signer != nil || i.Manifest != nil:
		return fmt.Errorf("%w at %v: %w", ErrNoManifest, s.cfg.Address, err)
	case !errors.Is(err, ErrNoManifest):
		s.log.Warn("chunks are not checked by a manifest", "service", "frisbee", "err", err)
	}
	return nil
}

// examine holds a chunk against the manifest.
func examine(m *manifest.Manifest, c Chunk) error {
	if m == nil {
		return nil
	}
	if err := m.CheckChunk(c.Index, c.Data); err != nil {
		return fmt.Errorf("%w: %w", ErrBadChunk, err)
	}
	return nil
}

// again says whether a damaged chunk may be fetched once more.
func (i *inspector) again(chunk int) bool {
	if i.bad == nil {
		i.bad = map[int]int{}
	}
	i.bad[chunk]++
	total := 0
	for _, n := range i.bad {
		total += n
	}
	return i.bad[chunk] <= badTriesMax && total <= badChunksMax
}
