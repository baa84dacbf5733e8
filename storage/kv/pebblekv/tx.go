package pebblekv

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv/record"
)

// errTxDone is returned by a transaction used after its function returned.
var errTxDone = errors.New("pebblekv: transaction used after its function returned")

// tx collects one transaction in an indexed batch over everything applied so
// far. It runs under the turn.
type tx struct {
	reader
	batch    *pebble.Batch
	before   reader // the state before the transaction
	expiring *expiringSet
	touched  map[string]touch
	bytes    int   // of all writes, also those overwritten since
	err      error // the first refused write: the transaction cannot commit
	done     bool
}

// touch is what a transaction did to a key.
type touch struct {
	expiringBefore bool // the transaction
	deleted        bool
	expired        bool
	state          record.State // as stored now, unless deleted
}

var _ kv.Tx = (*tx)(nil)

func newTx(db *pebble.DB, expiring *expiringSet, rev kv.Revision) *tx {
	batch := db.NewIndexedBatch()
	return &tx{
		reader: reader{src: batch, rev: rev}, batch: batch,
		before: reader{src: db, rev: rev}, expiring: expiring,
		touched: make(map[string]touch),
	}
}

func (t *tx) Put(key, value []byte) error {
	return t.put(key, record.State{Value: value})
}

func (t *tx) PutExpiring(key, value []byte, deadline time.Time) error {
	return t.put(key, record.State{Expiring: true, Deadline: unixMilliCeil(deadline), Value: value})
}

// unixMilliCeil rounds up, so that no key goes before its deadline.
func unixMilliCeil(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}

func (t *tx) put(key []byte, st record.State) error {
	if err := t.admit(key, st.Value); err != nil {
		return t.refuse(err)
	}
	was, err := t.replaced(key)
	if err != nil {
		return t.refuse(err)
	}
	if err := t.batch.Set(record.AppendStateKey(nil, key), record.AppendState(nil, st), nil); err != nil {
		return t.refuse(err)
	}
	if st.Expiring {
		if err := t.batch.Set(record.AppendExpiryKey(nil, st.Deadline, key), nil, nil); err != nil {
			return t.refuse(err)
		}
	}
	st.Value = append([]byte{}, st.Value...)
	t.touched[string(key)] = touch{expiringBefore: was.expiringBefore, state: st}
	return nil
}

// replaced removes the expiry entry of the value that is replaced, if it has
// one, and returns what the key was.
func (t *tx) replaced(key []byte) (touch, error) {
	was, touched := t.touched[string(key)]
	if !touched && t.expiring.maybe(key) {
		st, _, err := t.before.state(key)
		if err != nil {
			return was, err
		}
		was = touch{state: st, expiringBefore: st.Expiring}
	}
	return was, t.dropIndex(key, was)
}

// dropIndex removes the expiry entry of a value.
func (t *tx) dropIndex(key []byte, was touch) error {
	if was.deleted || !was.state.Expiring {
		return nil
	}
	return t.batch.Delete(record.AppendExpiryKey(nil, was.state.Deadline, key), nil)
}

func (t *tx) Delete(key []byte) error { return t.delete(key, false) }

func (t *tx) delete(key []byte, expired bool) error {
	if err := t.admit(key, nil); err != nil {
		return t.refuse(err)
	}
	_, exists, err := t.state(key)
	if err != nil {
		return t.refuse(err)
	}
	if !exists {
		return nil
	}
	was, err := t.replaced(key)
	if err != nil {
		return t.refuse(err)
	}
	if err := t.batch.Delete(record.AppendStateKey(nil, key), nil); err != nil {
		return t.refuse(err)
	}
	t.touched[string(key)] = touch{expiringBefore: was.expiringBefore, deleted: true, expired: expired}
	return nil
}

// admit checks the limits of a write.
func (t *tx) admit(key, value []byte) error {
	size := len(key) + len(value)
	switch {
	case t.done:
		return errTxDone
	case len(key) > kv.KeyBytesMax:
		return fmt.Errorf("%w: key %.40q... of %d bytes, at most %d", kv.ErrTooLarge, key, len(key), kv.KeyBytesMax)
	case len(value) > kv.ValueBytesMax:
		return fmt.Errorf("%w: value of %d bytes for key %q, at most %d", kv.ErrTooLarge, len(value), key, kv.ValueBytesMax)
	case t.bytes+size > kv.TxBytesMax:
		return fmt.Errorf("%w: transaction of over %d bytes at key %q: split it", kv.ErrTooLarge, kv.TxBytesMax, key)
	}
	t.bytes += size
	return nil
}

func (t *tx) refuse(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

func (t *tx) Get(key []byte) ([]byte, error) {
	if t.done {
		return nil, errTxDone
	}
	return t.reader.Get(key)
}

func (t *tx) Scan(prefix []byte, fn func(key, value []byte) error) error {
	if t.done {
		return errTxDone
	}
	return t.reader.Scan(prefix, fn)
}

func (t *tx) ScanRange(start, end []byte, reverse bool, fn func(key, value []byte) error) error {
	if t.done {
		return errTxDone
	}
	return t.reader.ScanRange(start, end, reverse, fn)
}

// events are the net changes of the transaction at revision rev, in key order.
// A key that the transaction made and deleted again is no change.
func (t *tx) events(rev kv.Revision) ([]kv.Event, error) {
	events := make([]kv.Event, 0, len(t.touched))
	for key, touch := range t.touched {
		if !touch.deleted {
			events = append(events, kv.Event{Revision: rev, Key: []byte(key), Value: touch.state.Value})
			continue
		}
		_, existed, err := t.before.state([]byte(key))
		if err != nil {
			return nil, err
		}
		if existed {
			events = append(events, kv.Event{Revision: rev, Key: []byte(key), Deleted: true, Expired: touch.expired})
		}
	}
	slices.SortFunc(events, func(a, b kv.Event) int { return bytes.Compare(a.Key, b.Key) })
	return events, nil
}

// firstDeadline is the earliest deadline the transaction leaves behind.
func (t *tx) firstDeadline() int64 {
	first := int64(noDeadline)
	for touch := range maps.Values(t.touched) {
		if !touch.deleted && touch.state.Expiring {
			first = min(first, touch.state.Deadline)
		}
	}
	return first
}

// close ends the transaction; its batch goes back to pebble unless it was
// applied, when it belongs to the commit.
func (t *tx) close(applied bool) {
	t.done = true
	if !applied {
		t.batch.Close()
	}
}
