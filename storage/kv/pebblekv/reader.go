package pebblekv

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv/record"
)

// source is what a snapshot, an indexed batch and a database have in common.
type source interface {
	Get(key []byte) ([]byte, io.Closer, error)
	NewIter(o *pebble.IterOptions) (*pebble.Iterator, error)
}

// reader is a kv.Reader of the state space of a source.
type reader struct {
	src source
	rev kv.Revision
}

var _ kv.Reader = (*reader)(nil)

func (r *reader) Revision() kv.Revision { return r.rev }

func (r *reader) Get(key []byte) ([]byte, error) {
	st, found, err := r.state(key)
	if err == nil && !found {
		err = fmt.Errorf("%w: %q", kv.ErrNotFound, key)
	}
	return st.Value, err
}

// state returns a copy of the state of key.
func (r *reader) state(key []byte) (st record.State, found bool, err error) {
	if len(key) > kv.KeyBytesMax {
		return st, false, nil // no such key can exist
	}
	var buf [64]byte
	b, closer, err := r.src.Get(record.AppendStateKey(buf[:0], key))
	switch {
	case errors.Is(err, pebble.ErrNotFound):
		return st, false, nil
	case err != nil:
		return st, false, fmt.Errorf("pebblekv: get %q: %w", key, err)
	}
	defer closer.Close()
	if st, err = record.DecodeState(b); err != nil {
		return st, false, fmt.Errorf("key %q: %w", key, err)
	}
	st.Value = append([]byte{}, st.Value...)
	return st, true, nil
}

func (r *reader) Scan(prefix []byte, fn func(key, value []byte) error) error {
	return r.scan(record.AppendStateKey(nil, prefix), successor(record.AppendStateKey(nil, prefix)), false, fn)
}

func (r *reader) ScanRange(start, end []byte, reverse bool, fn func(key, value []byte) error) error {
	upper := []byte{record.SpaceState + 1}
	if end != nil {
		upper = record.AppendStateKey(nil, end)
	}
	return r.scan(record.AppendStateKey(nil, start), upper, reverse, fn)
}

func (r *reader) scan(lower, upper []byte, reverse bool, fn func(key, value []byte) error) error {
	if bytes.Compare(lower, upper) >= 0 {
		return nil
	}
	return iterate(r.src, lower, upper, reverse, func(k, v []byte) error {
		st, err := record.DecodeState(v)
		if err != nil {
			return fmt.Errorf("key %q: %w", k[1:], err)
		}
		return fn(bytes.Clone(k[1:]), append([]byte{}, st.Value...))
	})
}

// iterate calls fn for the pairs of lower <= key < upper, whose slices are
// valid only during the call, until fn returns an error. kv.ErrStop is none.
func iterate(src source, lower, upper []byte, reverse bool, fn func(k, v []byte) error) (err error) {
	it, err := src.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("pebblekv: scan from %q: %w", lower, err)
	}
	defer func() { // also when fn panics
		if cerr := it.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("pebblekv: scan from %q: %w", lower, cerr)
		}
	}()
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("pebblekv: read %q: %w", it.Key(), err)
		}
		if err := fn(it.Key(), v); err != nil {
			if errors.Is(err, kv.ErrStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

// successor is the smallest key after all keys that begin with prefix, which
// starts with a space's byte and so is not all 0xff.
func successor(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	end[len(end)-1]++
	return end
}
