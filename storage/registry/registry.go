package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hyzer/storage/kv"
)

// Registry is the site on a store. It does not own the store.
type Registry struct {
	store    kv.Store
	log      *slog.Logger
	snapshot atomic.Pointer[Snapshot]
	written  written

	mu      sync.Mutex
	applied kv.Revision   // newest revision in the snapshot or its cells
	moved   chan struct{} // closed and replaced when applied grows
	failed  error         // why the follower ended

	cancel context.CancelFunc
	done   chan struct{}
}

// Open reads all records and follows the store from there.
func Open(ctx context.Context, store kv.Store, log *slog.Logger) (*Registry, error) {
	r := &Registry{store: store, log: log, moved: make(chan struct{}), done: make(chan struct{})}
	snapshot, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	watcher, err := store.Watch(ctx, []byte(recordPrefix), snapshot.revision)
	if err != nil {
		return nil, fmt.Errorf("registry: following the store: %w", err)
	}
	r.publish(snapshot)
	follow, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go r.follow(follow, watcher)
	return r, nil
}

// Close stops following the store.
func (r *Registry) Close() {
	r.cancel()
	<-r.done
}

// Snapshot returns the newest picture of the site.
func (r *Registry) Snapshot() *Snapshot { return r.snapshot.Load() }

// Update runs fn in one transaction, and returns when it is durable and in
// the snapshot. fn may run more than once. An error of fn or a broken rule
// (ErrInvalid, ErrConflict) leaves no trace. ctx bounds only the wait for the
// transaction to begin: what was begun is not reported as undone.
func (r *Registry) Update(ctx context.Context, fn func(tx *Tx) error) (kv.Revision, error) {
	changed := false
	revision, err := r.store.Update(ctx, func(ktx kv.Tx) error {
		r.written.forget(r.Snapshot().Revision())
		tx := &Tx{kv: noting{ktx, &r.written}, of: r}
		if err := fn(tx); err != nil {
			return err
		}
		changed = tx.writes()
		return tx.finish()
	})
	if err != nil || !changed {
		return revision, err
	}
	return revision, r.await(revision)
}

// Read runs fn on a consistent view of the records; it must not write.
func (r *Registry) Read(ctx context.Context, fn func(tx *Tx) error) error {
	return r.store.View(ctx, func(reader kv.Reader) error {
		return fn(&Tx{kv: readOnly{reader}})
	})
}

// Store is the store below, for what keeps records of its own beside the
// registry's (leases, boot logs, multicast sessions).
func (r *Registry) Store() kv.Store { return r.store }

func (r *Registry) read(ctx context.Context) (*Snapshot, error) {
	s := emptySnapshot()
	err := r.store.View(ctx, func(reader kv.Reader) error {
		s.revision = reader.Revision()
		return reader.Scan([]byte(recordPrefix), func(key, value []byte) error {
			kind, id, err := splitKey(key)
			if err != nil {
				return err
			}
			rec, err := decodeRecord(kind, id, value)
			if err != nil {
				return err
			}
			rec.install(s)
			return nil
		})
	})
	return s, err
}

func splitKey(key []byte) (kind, id string, err error) {
	kind, id, ok := strings.Cut(strings.TrimPrefix(string(key), recordPrefix), "/")
	if !ok {
		return "", "", fmt.Errorf("registry: key %q has no kind", key)
	}
	return kind, id, nil
}

// follow applies committed changes until ctx ends. The store's history can
// outrun it (ErrCompacted): then it reads everything again.
func (r *Registry) follow(ctx context.Context, watcher kv.Watcher) {
	defer close(r.done)
	for {
		events, err := watcher.Next(ctx)
		if errors.Is(err, kv.ErrCompacted) {
			watcher.Close()
			watcher, err = r.restart(ctx)
			if err == nil {
				continue
			}
		}
		if err == nil {
			err = r.apply(events)
		}
		if err != nil {
			watcher.Close()
			if ctx.Err() == nil && !errors.Is(err, kv.ErrClosed) {
				r.log.Error("registry stopped following the store; restart the appliance", "error", err)
			}
			r.fail(err)
			return
		}
	}
}

func (r *Registry) restart(ctx context.Context) (kv.Watcher, error) {
	snapshot, err := r.read(ctx)
	if err != nil {
		return closedWatcher{}, err
	}
	watcher, err := r.store.Watch(ctx, []byte(recordPrefix), snapshot.revision)
	if err != nil {
		return closedWatcher{}, err
	}
	r.publish(snapshot)
	return watcher, nil
}

// apply builds the next snapshot, transaction by transaction: what one wrote the
// next may have deleted.
func (r *Registry) apply(events []kv.Event) error {
	next := *r.snapshot.Load()
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].Revision == events[0].Revision {
			n++
		}
		if err := next.apply(events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	r.publish(&next)
	return nil
}

// apply applies one transaction to a snapshot that is built. Old records leave
// before new ones enter, so that a MAC moved from one node to another ends right.
func (s *Snapshot) apply(events []kv.Event) error {
	records := make([]record, len(events))
	for i, ev := range events {
		kind, id, err := splitKey(ev.Key)
		if err != nil {
			return err
		}
		if old := s.lookup(kind, id); old != nil {
			old.remove(s)
		}
		if ev.Deleted {
			s.forgetCell(kind, id)
			if kind == kindNode {
				s.cells = s.cells.Without(id)
			}
			continue
		}
		if records[i], err = decodeRecord(kind, id, ev.Value); err != nil {
			return err
		}
	}
	for _, rec := range records {
		if rec != nil {
			rec.install(s)
		}
	}
	s.revision = events[0].Revision
	return nil
}

// forgetCell empties what a deleted state or status record left in its cell.
func (s *Snapshot) forgetCell(kind, node string) {
	c, ok := s.cells.Get(node)
	switch {
	case !ok:
	case kind == kindState:
		c.state.Store(&NodeState{Node: node})
	case kind == kindStatus:
		c.status.Store(&NodeStatus{Node: node})
	}
}

// lookup finds the record that an event replaces. State and status are nil:
// they are overwritten in their cell.
func (s *Snapshot) lookup(kind, id string) record {
	switch kind {
	case kindSite:
		return s.site
	case kindType:
		return some(s.Type(id))
	case kindNode:
		return some(s.Node(id))
	case kindOS:
		return some(s.OS(id))
	case kindImage:
		return some(s.Image(id))
	case kindProject:
		return some(s.Project(id))
	case kindGroup:
		return some(find(s.groups, id))
	case kindUser:
		return some(s.User(id))
	case kindExperiment:
		return some(s.Experiment(id))
	case kindReservation:
		return some(s.Reservation(id))
	case kindBoot:
		return some(s.Boot(id))
	case kindPartitions:
		return some(s.PartitionTable(id))
	case kindRuntime:
		return some(s.Runtime(id))
	case kindCommand:
		return some(s.Command(id))
	case kindErrand:
		return some(find(s.errands, id))
	case kindLoad:
		return some(s.Load(id))
	case kindJob:
		return some(s.Job(id))
	case kindLoadNode:
		return some(find(s.loadNodes, id))
	case kindGrant:
		return some(s.UploadGrant(id))
	}
	return nil
}

// some turns a nil pointer into a nil record.
func some[T any, P recordPtr[T]](rec P) record {
	if rec == nil {
		return nil
	}
	return rec
}

func (r *Registry) publish(s *Snapshot) {
	r.snapshot.Store(s)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.applied = s.revision
	close(r.moved)
	r.moved = make(chan struct{})
}

func (r *Registry) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = err
	close(r.moved)
	r.moved = make(chan struct{})
}

// await blocks until the snapshot holds a revision of a transaction that wrote
// records. The transaction is durable whatever await returns.
func (r *Registry) await(revision kv.Revision) error {
	for {
		r.mu.Lock()
		applied, moved, failed := r.applied, r.moved, r.failed
		r.mu.Unlock()
		switch {
		case applied >= revision:
			return nil
		case failed != nil:
			return fmt.Errorf("registry: snapshot is behind: %w", failed)
		}
		<-moved
	}
}

// readOnly lets read-only transactions use the same accessors.
type readOnly struct{ kv.Reader }

var errReadOnly = errors.New("registry: write in a read-only transaction")

func (readOnly) Put(_, _ []byte) error                      { return errReadOnly }
func (readOnly) PutExpiring(_, _ []byte, _ time.Time) error { return errReadOnly }
func (readOnly) Delete(_ []byte) error                      { return errReadOnly }

type closedWatcher struct{}

func (closedWatcher) Next(context.Context) ([]kv.Event, error) { return nil, kv.ErrClosed }
func (closedWatcher) Close()                                   {}
