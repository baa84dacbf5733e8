package pebblekv

import (
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Defaults of Options.
const (
	DefaultWatermarkBytes   = 256 << 20
	DefaultHistoryRevisions = 100_000
	DefaultHistoryBytes     = 256 << 20
	DefaultCacheBytes       = 32 << 20
	DefaultMemTableBytes    = 16 << 20

	// freeSpaceAge is how long an answer of statfs that allowed a write
	// stands. Bytes written meanwhile are subtracted from it.
	freeSpaceAge = 50 * time.Millisecond
)

// Options configures Open. The zero value is right for production.
type Options struct {
	// FS holds the store; nil is the operating system's file system.
	FS vfs.FS
	// Clock tells deadlines of expiring keys; nil is the system clock.
	Clock Clock
	// Logger gets what pebble has to say; nil is slog.Default().
	Logger *slog.Logger
	// WatermarkBytes of the file system stay free: an Update that would go
	// below is refused with kv.ErrDiskFull, and compactions must leave half
	// of it. That half is room to flush what was acknowledged, so keep this
	// over 8 x MemTableBytes.
	// 0 is DefaultWatermarkBytes, negative turns the check off.
	WatermarkBytes int64
	// FreeBytes returns the free space of the file system that holds dir;
	// nil asks FS (statfs) at most once in 50 ms. A function given here is
	// asked before each write, and by other goroutines meanwhile.
	FreeBytes func(dir string) (uint64, error)
	// HistoryRevisions and HistoryBytes bound the history kept for
	// watchers: older revisions are forgotten, in lumps of an eighth, once
	// there are more of them or they are larger than that. At least the
	// newest HistoryRevisions that fit in HistoryBytes are kept.
	// 0 is the default.
	HistoryRevisions uint64
	HistoryBytes     uint64
	// CacheBytes is the block cache; 0 is DefaultCacheBytes.
	CacheBytes int64
	// MemTableBytes is the size at which a table of recent writes is
	// flushed; there are up to four. 0 is DefaultMemTableBytes.
	MemTableBytes uint64
}

func (o Options) withDefaults() Options {
	setDefault(&o.FS, vfs.Default)
	setDefault[Clock](&o.Clock, systemClock{})
	setDefault(&o.Logger, slog.Default())
	setDefault(&o.WatermarkBytes, DefaultWatermarkBytes)
	setDefault(&o.HistoryRevisions, DefaultHistoryRevisions)
	setDefault(&o.HistoryBytes, DefaultHistoryBytes)
	setDefault(&o.CacheBytes, DefaultCacheBytes)
	setDefault(&o.MemTableBytes, DefaultMemTableBytes)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Clock is the wall clock deadlines are compared with.
type Clock interface {
	Now() time.Time
	// NewTimer returns a timer that fires once, d from now.
	NewTimer(d time.Duration) Timer
}

// Timer is a started timer of a Clock.
type Timer interface {
	C() <-chan time.Time
	Stop()
}

type systemClock struct{}

func (systemClock) Now() time.Time                 { return time.Now() }
func (systemClock) NewTimer(d time.Duration) Timer { return systemTimer{time.NewTimer(d)} }

type systemTimer struct{ timer *time.Timer }

func (t systemTimer) C() <-chan time.Time { return t.timer.C }
func (t systemTimer) Stop()               { t.timer.Stop() }
