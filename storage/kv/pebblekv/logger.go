package pebblekv

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// fatalError is what pebble reported through Fatalf, carried as a panic to the
// call of ours that made pebble do it.
type fatalError struct{ text string }

func (e *fatalError) Error() string { return e.text }

// logger passes pebble's messages to slog. pebble expects Fatalf not to
// return, and would corrupt the store if it did; its own logger exits the
// process. Ours puts the store into the failed state and ends what called it.
type logger struct {
	log  *slog.Logger
	fail *failure
}

var _ pebble.Logger = logger{}

func (l logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

func (l logger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf unwinds to the public method that called pebble if there is one on
// the stack (see catchFatal). A goroutine of pebble's own has nothing to
// unwind to. What is wrong with a version of the tables it gets back as an
// error: the failed state freezes the directory, so nothing wrong reaches the
// disk. Otherwise the goroutine ends, and Close leaves pebble as it is. Errors
// of the file system do not come here: guardFS keeps them from pebble.
func (l logger) Fatalf(format string, args ...any) {
	err := &fatalError{text: fmt.Sprintf(format, args...)}
	l.fail.stuck.Store(true)
	if l.fail.set(err) {
		l.log.Error("store failed: pebble cannot go on", "err", err)
	}
	switch {
	case onStack("hyzer/storage/kv/pebblekv."):
		panic(err)
	case onStack("github.com/cockroachdb/pebble/v2.(*versionSet)."):
		return // as an error; the directory is frozen
	}
	runtime.Goexit()
}

// onStack tells whether a function whose name begins with prefix, other than
// the logger, is on the calling goroutine's stack.
func onStack(prefix string) bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		frame, more := frames.Next()
		if strings.HasPrefix(frame.Function, prefix) {
			return true
		}
		if !more {
			return false
		}
	}
}

// catchFatal, deferred, turns a panic made by Fatalf into the failed state's
// error. Panics of callbacks pass through.
func (s *Store) catchFatal(err *error) {
	switch r := recover().(type) {
	case nil:
	case *fatalError:
		*err = s.fail.err()
	default:
		panic(r)
	}
}

// backgroundErrorPause is the least time between two messages of an error that
// may be of a full disk, where the messages go, too.
const backgroundErrorPause = 10 * time.Second

func (s *Store) backgroundError() func(err error) {
	var next atomic.Int64 // Unix nanoseconds
	return func(err error) {
		now, at := time.Now(), next.Load()
		if now.UnixNano() < at || !next.CompareAndSwap(at, now.Add(backgroundErrorPause).UnixNano()) {
			return
		}
		// Only the text: the error would print its stack traces.
		s.log.Error("pebble: background work failed and is retried: look at the disk", "dir", s.dir, "err", err.Error())
	}
}

func (s *Store) eventListener() *pebble.EventListener {
	log := s.log
	stalled := func(is bool) { // s has no guard when it is read only
		if s.guard != nil {
			s.guard.stalled.Store(is)
		}
	}
	l := &pebble.EventListener{
		BackgroundError: s.backgroundError(),
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			log.Error("pebble: data corruption: restore a backup", "path", info.Path, "err", info.Details.Error())
		},
		DiskSlow: func(info pebble.DiskSlowInfo) {
			log.Warn("pebble: the disk is slow", "path", info.Path, "op", info.OpType.String(), "duration", info.Duration)
		},
		WriteStallBegin: func(info pebble.WriteStallBeginInfo) {
			stalled(true)
			log.Warn("pebble: writes wait for flushes", "reason", info.Reason)
		},
		WriteStallEnd: func() {
			stalled(false)
			log.Info("pebble: writes go on")
		},
	}
	l.EnsureDefaults(nil)
	return l
}
