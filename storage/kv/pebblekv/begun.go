package pebblekv

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// begunTables are the tables of an Open that no manifest can refer to: those
// made since the last write to one. Open removes them if it fails. Else each
// Open that fails on a full disk would leave less room for the next.
type begunTables struct {
	mu    sync.Mutex
	names []string
}

func (b *begunTables) add(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names = append(b.names, name)
}

// referred is told before each write to a manifest.
func (b *begunTables) referred() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names = nil
}

// remove removes them, as far as that goes: the next Open that succeeds removes
// the others.
func (b *begunTables) remove(fs vfs.FS) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range b.names {
		_ = fs.Remove(name) // pebble may have done it
	}
	b.names = nil
}
