package pebblekv_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/kvtest"
	"hyzer/storage/kv/pebblekv"
)

// quiet is the options of a store in fs that keeps pebble's messages to itself.
func quiet(fs vfs.FS) pebblekv.Options {
	return pebblekv.Options{FS: fs, Logger: slog.New(slog.DiscardHandler)}
}

func TestContractInMemory(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(t *testing.T) (kvtest.Opener, func(string) string) {
		opts := quiet(vfs.NewMem())
		opts.MemTableBytes = 1 << 20 // flushes and compactions happen
		open := func(name string) (kv.Store, error) { return pebblekv.Open("/"+name, opts) }
		return open, func(name string) string { return "/" + name }
	})
}

func TestContractOnDisk(t *testing.T) {
	t.Parallel()
	kvtest.Run(t, func(t *testing.T) (kvtest.Opener, func(string) string) {
		dir := t.TempDir()
		path := func(name string) string { return filepath.Join(dir, name) }
		open := func(name string) (kv.Store, error) { return pebblekv.Open(path(name), quiet(nil)) }
		return open, path
	})
}
