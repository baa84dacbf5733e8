package pebblekv

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
)

// space refuses writes while the file system is under the watermark, because
// pebble does not survive a full disk: flushes fail and writers wait for ever.
//
// A transaction that only deletes (expiry is one) may use half of the
// watermark, so that an operator, and time, can make room. History retention
// is never refused. Used under the turn.
type space struct {
	dir       string
	watermark uint64 // 0 is no check
	age       time.Duration
	free      func(dir string) (uint64, error)
	log       *slog.Logger

	checked time.Time
	left    uint64 // free bytes when checked, less what was written since
	warned  bool
}

func newSpace(dir string, opts Options) *space {
	sp := &space{dir: dir, free: opts.FreeBytes, log: opts.Logger}
	if opts.WatermarkBytes > 0 {
		sp.watermark = uint64(opts.WatermarkBytes)
	}
	if sp.free == nil {
		sp.age = freeSpaceAge
		sp.free = func(dir string) (uint64, error) {
			usage, err := opts.FS.GetDiskUsage(dir)
			return usage.AvailBytes, err
		}
	}
	return sp
}

// admit returns kv.ErrDiskFull if writing size bytes would go below the
// watermark. It asks afresh whenever it is about to refuse, so writes resume
// with the first Update after there is room.
func (sp *space) admit(size uint64, deletesOnly bool) error {
	if sp.watermark == 0 {
		return nil
	}
	keep := sp.watermark
	if deletesOnly {
		keep /= 2
	}
	if time.Since(sp.checked) >= sp.age || sp.left < keep+size {
		if !sp.ask() {
			return nil
		}
	}
	if sp.left < keep+size {
		return fmt.Errorf("%w: %s has %d bytes free, this transaction needs %d and %d must stay free: make room, writing resumes by itself",
			kv.ErrDiskFull, sp.dir, sp.left, size, keep)
	}
	sp.left -= size
	return nil
}

// ask reports false if the free space cannot be told; then nothing is refused.
func (sp *space) ask() bool {
	free, err := sp.free(sp.dir)
	switch {
	case err == nil:
		sp.left, sp.checked = free, time.Now()
		return true
	case errors.Is(err, vfs.ErrUnsupported):
		sp.watermark = 0
	case !sp.warned:
		sp.warned = true
		sp.log.Warn("cannot tell the free disk space, writing without a watermark", "dir", sp.dir, "err", err)
	}
	return false
}
