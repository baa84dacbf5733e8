package kv

import (
	"context"
	"errors"
	"time"
)

// Revision numbers committed transactions. It grows by one with each Update
// that changed something, never goes back, and survives restart. It jumps once,
// when a backup is first opened as a store, to begin an epoch: ahead of all that
// the store it was taken from has reached since, whose changes it does not have.
// All revisions of before are then ErrCompacted. Revision 0 is the empty store.
type Revision uint64

// Errors that callers tell apart. Backends wrap them with the key or path.
var (
	// ErrNotFound is returned by Get for a key that does not exist.
	ErrNotFound = errors.New("kv: key not found")
	// ErrCompacted is returned by Watch, and ends a Watcher, when changes
	// after the requested revision are no longer kept. The caller must read
	// the present state with View and watch from that view's revision.
	ErrCompacted = errors.New("kv: revision compacted")
	// ErrFutureRevision is returned by Watch for a revision the store has
	// not reached: the caller holds a revision of another store.
	ErrFutureRevision = errors.New("kv: revision is in the future")
	// ErrDiskFull refuses an Update while free space is under the
	// watermark. Nothing was written; reads go on.
	ErrDiskFull = errors.New("kv: disk space is under the watermark")
	// ErrTooLarge refuses a key, value or transaction over its limit.
	ErrTooLarge = errors.New("kv: key, value or transaction too large")
	// ErrClosed is returned by every call on a closed store.
	ErrClosed = errors.New("kv: store is closed")
	// ErrFailed is returned by every Update after the backend could not
	// make a write durable: what is on disk is unknown until reopened.
	ErrFailed = errors.New("kv: store failed, reopen it")
)

// Limits of every backend. Larger input is ErrTooLarge.
const (
	KeyBytesMax   = 1 << 10
	ValueBytesMax = 1 << 20
	TxBytesMax    = 16 << 20
)

// Reader reads one consistent state of the store. Slices passed to callbacks
// or returned are owned by the caller and may be kept. Keys order bytewise.
type Reader interface {
	// Revision is the newest revision this reader sees. In an Update it is
	// the revision before the transaction.
	Revision() Revision
	// Get returns the value of key, or ErrNotFound.
	Get(key []byte) ([]byte, error)
	// Scan calls fn for each key that begins with prefix, in key order,
	// until fn returns an error, which Scan returns. ErrStop ends the scan
	// without error.
	Scan(prefix []byte, fn func(key, value []byte) error) error
	// ScanRange is Scan over start <= key < end; a nil end has no bound.
	// reverse visits the keys in descending order.
	ScanRange(start, end []byte, reverse bool, fn func(key, value []byte) error) error
}

// ErrStop returned by a scan callback ends the scan without error.
var ErrStop = errors.New("kv: stop scan")

// Tx reads and writes inside one transaction, and sees its own writes. It is
// valid only until the function it was given to returns.
type Tx interface {
	Reader
	// Put sets key to value and removes any expiry of the key.
	Put(key, value []byte) error
	// PutExpiring is Put for a key that is deleted at the deadline, by an
	// ordinary transaction that watchers see. The deadline is durable: a
	// key whose deadline passed while the store was closed goes soon after
	// it opens. Precision is a millisecond.
	PutExpiring(key, value []byte, deadline time.Time) error
	// Delete removes key. Removing an absent key is no change.
	Delete(key []byte) error
}

// Event is one change of one key.
type Event struct {
	Revision Revision
	Key      []byte
	Value    []byte // nil when Deleted
	Deleted  bool
	Expired  bool // Deleted because its deadline passed
}

// Watcher delivers committed changes in revision order, each exactly once.
type Watcher interface {
	// Next returns all matching changes of the next revisions that have
	// any; the changes of one revision are never split over two calls. It
	// blocks until there is one, ctx ends, the watcher falls out of the
	// kept history (ErrCompacted), the store closes (ErrClosed), or it
	// failed and every durable change was delivered (ErrFailed). One
	// goroutine at a time may call it. The changes of a revision are net,
	// one for a key, in key order.
	Next(ctx context.Context) ([]Event, error)
	Close()
}

// Store is an embedded, revisioned, ordered key-value store.
type Store interface {
	// Update runs fn in one atomic transaction and returns its revision
	// after it is durable. Transactions are serial: fn sees every earlier
	// one, and may be run more than once, so it must have no effect outside
	// tx. An error of fn is returned as it is and nothing is written.
	// Concurrent callers share one fsync. A transaction without changes is
	// not a revision: the present revision is returned. Putting the value a
	// key has already is a change. A refused write (ErrTooLarge) fails the
	// transaction even if fn ignores it. fn must not call Update or Close
	// of the same store. ctx bounds the wait to begin, not the fsync.
	Update(ctx context.Context, fn func(tx Tx) error) (Revision, error)
	// View runs fn on a consistent state that holds only durable
	// revisions, including every Update that returned before View began.
	View(ctx context.Context, fn func(r Reader) error) error
	// Revision is the newest durable revision.
	Revision() Revision
	// Watch delivers the changes of keys beginning with prefix whose
	// revision is greater than after. It returns ErrCompacted at once if
	// some of them are no longer kept.
	Watch(ctx context.Context, prefix []byte, after Revision) (Watcher, error)
	// Compact forgets the history up to and including rev.
	Compact(ctx context.Context, rev Revision) error
	// Backup writes a consistent, openable copy to dir, which must not
	// exist, while the store goes on. Restoring is copying it back; opened,
	// the copy has the state and no history, at a Revision of a new epoch.
	Backup(ctx context.Context, dir string) error
	Close() error
}
