package load

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"hyzer/imaging/ndz"
	"hyzer/storage/registry"
)

// Describe reads an image file below dir and fills what the file itself knows:
// size, time, covered sectors. A damaged file is refused.
func Describe(dir, file string) (registry.ImageVersion, error) {
	var v registry.ImageVersion
	path := filepath.Clean(file)
	if !filepath.IsAbs(path) || !strings.HasPrefix(path, filepath.Clean(dir)+string(filepath.Separator)) {
		return v, fmt.Errorf("image file %s: put it below %s first", file, dir)
	}
	f, err := os.Open(path)
	if err != nil {
		return v, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return v, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return v, fmt.Errorf("image file %s: want a regular file with content", path)
	}
	summary, err := ndz.Info(f, info.Size())
	if err != nil {
		return v, fmt.Errorf("image file %s: %w", path, err)
	}
	v.Path, v.SizeBytes, v.Updated, v.MBRVersion = path, info.Size(), info.ModTime().UTC(), 1
	v.LBALow, v.LBASize, v.Relocs = int64(summary.First), summary.SectorBytes, summary.HasRelocs()
	if summary.Last > summary.First {
		v.LBAHigh = int64(summary.Last) - 1
	}
	return v, nil
}
