package capture

import (
	"errors"
	"os"
	"path/filepath"

	"hyzer/netsvc/lifecycle/load"
	"hyzer/storage/registry"
)

// uses says whether a version of any image has this file.
func (s *Store) uses(path string) bool {
	for _, image := range s.registry.Snapshot().Images() {
		for i := range image.Versions {
			if filepath.Clean(image.Versions[i].Path) == path {
				return true
			}
		}
	}
	return false
}

// described fills in what the file does not say of itself: as in the version
// before, or for the first as the grant says.
func described(g *registry.UploadGrant, image *registry.Image, v registry.ImageVersion) registry.ImageVersion {
	if before := image.Version(registry.Head); before != nil {
		v.LoadPart, v.LoadLength, v.BootPart = before.LoadPart, before.LoadLength, before.BootPart
		v.BootOS, v.Partitions, v.AccessKey = before.BootOS, before.Partitions, before.AccessKey
	}
	if !g.OS.IsZero() {
		v.LoadPart, v.LoadLength, v.BootPart, v.BootOS, v.Partitions = g.Part, 1, g.Boot, g.OS, g.Holds
		if g.Part == 0 {
			v.LoadLength = load.WholeDiskSlots
		}
	}
	return v
}

func writeSync(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncDirs makes the names in dir durable, and those of the folders between
// top and it.
func syncDirs(top, dir string) error {
	for {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return err
		}
		if dir == filepath.Clean(top) || dir == filepath.Dir(dir) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}
