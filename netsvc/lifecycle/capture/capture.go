package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hyzer/storage/registry"
)

// Errors of Allowed, which say what the client is told.
var (
	ErrNoNode  = errors.New("the client is no node")
	ErrNoGrant = errors.New("no permission to write the image")
)

// tempPrefix is what the names of unfinished files begin with.
const tempPrefix = ".upload-"

// Store takes images.
type Store struct {
	dir      string
	registry *registry.Registry
	now      func() time.Time
	// step is told before each step of Commit; an error of it ends the commit
	// there, as a crash does. For tests; nil: nobody.
	step func(what string) error
}

// New returns a Store of the images below dir.
func New(dir string, reg *registry.Registry) *Store {
	return &Store{dir: dir, registry: reg, now: time.Now}
}

// Allowed returns the grant by which the node at an address may write an image
// now. The errors wrap ErrNoNode and ErrNoGrant.
func (s *Store) Allowed(client netip.Addr, ref registry.Ref) (*registry.UploadGrant, error) {
	snap := s.registry.Snapshot()
	port, ok := snap.NodeByIP(client)
	if !ok {
		return nil, fmt.Errorf("%s: %w", client, ErrNoNode)
	}
	node, g := port.Node.ID, snap.UploadGrant(port.Node.ID)
	refuse := func(format string, args ...any) (*registry.UploadGrant, error) {
		return nil, fmt.Errorf("node %s, image %s: %w: %s", node, ref, ErrNoGrant, fmt.Sprintf(format, args...))
	}
	switch {
	case g == nil || !g.Image.Same(ref):
		return refuse("an operator gives it with hyzer image grant %s %s", ref.Key(), node)
	case !s.now().Before(g.Until):
		return refuse("it ran out at %s", g.Until.UTC().Format(time.RFC3339))
	case ref.Version != registry.Head && ref.Version != nextVersion(snap.Image(ref.Key())):
		return refuse("versions are not written again; the next is %d", nextVersion(snap.Image(ref.Key())))
	}
	return g, nil
}

// Present is the file of an image's newest version, "" if there is none.
func (s *Store) Present(ref registry.Ref) string {
	ref.Version = registry.Head
	if _, v := s.registry.Snapshot().ImageVersion(ref); v != nil {
		return v.Path
	}
	return ""
}

func nextVersion(image *registry.Image) int {
	if image == nil || len(image.Versions) == 0 {
		return 0
	}
	return image.Versions[len(image.Versions)-1].Version + 1
}

// Sweep removes what uploads of an earlier run left unfinished. It is called
// before there are any.
func (s *Store) Sweep() error {
	var errs []error
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasPrefix(e.Name(), tempPrefix) {
			return err
		}
		errs = append(errs, os.Remove(path))
		return nil
	})
	return errors.Join(append(errs, err)...)
}
