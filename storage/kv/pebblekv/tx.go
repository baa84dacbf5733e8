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
	batch   *pebble.Batch
	touched map[string]touch
	bytes   int   // of all writes, also those overwritten since
	err     error // the first refused write: the transaction cannot commit
	done    bool
}

// touch is what a transaction did to a key.
type touch struct {
	existed bool // before the transaction
	deleted bool
	expired bool
	state   record.State // as stored now, unless deleted
}

var _ kv.Tx = (*tx)(nil)

func newTx(db *pebble.DB, rev kv.Revision) *tx {
	batch := db.NewIndexedBatch()
	return &tx{reader: reader{src: batch, rev: rev}, batch: batch, touched: make(map[string]touch)}
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
	was, err := t.begin(key, st.Value)
	if err != nil {
		return t.refuse(err)
	}
	if err := t.dropIndex(key, was); err != nil {
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
	t.touched[string(key)] = touch{existed: was.existed, state: st}
	return nil
}

func (t *tx) Delete(key []byte) error { return t.delete(key, false) }

func (t *tx) delete(key []byte, expired bool) error {
	was, err := t.begin(key, nil)
	if err != nil {
		return t.refuse(err)
	}
	if was.deleted || !was.existed && !t.isTouched(key) {
		return nil
	}
	if err := t.dropIndex(key, was); err != nil {
		return t.refuse(err)
	}
	if err := t.batch.Delete(record.AppendStateKey(nil, key), nil); err != nil {
		return t.refuse(err)
	}
	t.touched[string(key)] = touch{existed: was.existed, deleted: true, expired: expired}
	return nil
}

func (t *tx) isTouched(key []byte) bool {
	_, ok := t.touched[string(key)]
	return ok
}

// begin checks the limits of a write and returns what the key was before it.
func (t *tx) begin(key, value []byte) (was touch, err error) {
	size := len(key) + len(value)
	switch {
	case t.done:
		return was, errTxDone
	case len(key) > kv.KeyBytesMax:
		return was, fmt.Errorf("%w: key %.40q... of %d bytes, at most %d", kv.ErrTooLarge, key, len(key), kv.KeyBytesMax)
	case len(value) > kv.ValueBytesMax:
		return was, fmt.Errorf("%w: value of %d bytes for key %q, at most %d", kv.ErrTooLarge, len(value), key, kv.ValueBytesMax)
	case t.bytes+size > kv.TxBytesMax:
		return was, fmt.Errorf("%w: transaction of over %d bytes at key %q: split it", kv.ErrTooLarge, kv.TxBytesMax, key)
	}
	t.bytes += size
	if was, ok := t.touched[string(key)]; ok {
		return was, nil
	}
	st, found, err := t.state(key)
	return touch{existed: found, state: st}, err
}

// dropIndex removes the expiry entry of the value that is replaced.
func (t *tx) dropIndex(key []byte, was touch) error {
	if was.deleted || !was.state.Expiring {
		return nil
	}
	return t.batch.Delete(record.AppendExpiryKey(nil, was.state.Deadline, key), nil)
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
func (t *tx) events(rev kv.Revision) []kv.Event {
	var events []kv.Event
	for key, touch := range t.touched {
		switch {
		case !touch.deleted:
			events = append(events, kv.Event{Revision: rev, Key: []byte(key), Value: touch.state.Value})
		case touch.existed:
			events = append(events, kv.Event{Revision: rev, Key: []byte(key), Deleted: true, Expired: touch.expired})
		}
	}
	slices.SortFunc(events, func(a, b kv.Event) int { return bytes.Compare(a.Key, b.Key) })
	return events
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
