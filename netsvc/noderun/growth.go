package noderun

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// growthEvery is how often it is said how large an image has become. Who
	// watches gives up on one that has not grown for minutes.
	growthEvery = 10 * time.Second
	// growthSuffix is of the file beside the image that says so.
	growthSuffix = ".progress"
)

// showGrowth says how large the image that is being made is, to out and in a
// file beside it, until stop is called. The image itself has its name only when
// it is whole.
func (s *saver) showGrowth(out io.Writer) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for ; pause(ctx, s.growth) == nil; s.noteGrowth(out) {
		}
	})
	return func() {
		cancel()
		work.Wait()
		_ = os.Remove(s.path(swapImageSuffix + growthSuffix))
	}
}

// noteGrowth writes "BYTES=<n> TIME=<unix>". Nothing depends on it, so errors
// are not.
func (s *saver) noteGrowth(out io.Writer) {
	size := s.unfinished()
	fmt.Fprintf(out, "create-swapimage: %d bytes so far\n", size)
	line := fmt.Appendf(nil, "BYTES=%d TIME=%d\n", size, time.Now().Unix())
	path := s.path(swapImageSuffix + growthSuffix)
	if os.WriteFile(path+".new", line, 0o644) == nil {
		_ = os.Rename(path+".new", path)
	}
}

// unfinished is the size of the image that is being written; imagezip gives it
// a name of its own until it is whole.
func (s *saver) unfinished() (size int64) {
	names, _ := filepath.Glob(filepath.Join(s.swapinfo, "."+s.vname+swapImageSuffix+".tmp*")) // no pattern is in the name
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			size = max(size, info.Size())
		}
	}
	return size
}
