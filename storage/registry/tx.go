package registry

import (
	"encoding/json"
	"errors"
	"fmt"

	"hyzer/storage/kv"
)

// Key spaces in the store. Only recordPrefix feeds the snapshot.
const (
	recordPrefix = "r/" // r/<kind>/<key>
	claimPrefix  = "x/" // x/<name> -> kind/key of the record that claims it
	logPrefix    = "log/"
	gonePrefix   = "gone/" // gone/<node> -> counters of a deleted node
)

func recordKey(kind, key string) []byte { return []byte(recordPrefix + kind + "/" + key) }

// Tx is one transaction on the registry. It sees its own writes. Rules and
// claims are checked when the function it was given to has returned, so records
// may be written in any order.
type Tx struct {
	kv      kv.Tx
	of      *Registry // nil: a view, which may be of other records than its snapshot
	changes []change
	index   map[string]int // by kind/key into changes
}

type change struct {
	kind, key string
	was, is   record // nil: absent
}

// Revision is the revision before the transaction.
func (tx *Tx) Revision() kv.Revision { return tx.kv.Revision() }

// Get reads a record by its key; ErrNotFound if there is none.
func Get[T any, P recordPtr[T]](tx *Tx, key string) (*T, error) {
	var rec T
	return &rec, tx.read(P(&rec), key)
}

// Find is Get that tells absence by ok rather than by an error.
func Find[T any, P recordPtr[T]](tx *Tx, key string) (rec *T, ok bool, err error) {
	rec, err = Get[T, P](tx, key)
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	return rec, err == nil, err
}

// Lookup is Get that returns nil for an absent record.
func Lookup[T any, P recordPtr[T]](tx *Tx, key string) (*T, error) {
	rec, ok, err := Find[T, P](tx, key)
	if !ok {
		return nil, err
	}
	return rec, nil
}

// Put writes a record under its key.
func Put[T any, P recordPtr[T]](tx *Tx, rec *T) error { return tx.put(P(rec)) }

// Delete removes a record; removing an absent one is no error.
func Delete[T any, P recordPtr[T]](tx *Tx, key string) error {
	var rec T
	return tx.delete(P(&rec).kind(), key)
}

// List calls fn for each record of a kind in key order.
func List[T any, P recordPtr[T]](tx *Tx, fn func(*T) error) error {
	var probe T
	prefix := recordKey(P(&probe).kind(), "")
	return tx.kv.Scan(prefix, func(key, value []byte) error {
		var rec T
		if err := json.Unmarshal(value, &rec); err != nil {
			return fmt.Errorf("registry: record %s: %w", key, err)
		}
		return fn(&rec)
	})
}

func (tx *Tx) read(into record, key string) error {
	value, err := tx.kv.Get(recordKey(into.kind(), key))
	if errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("%w: %s %s", ErrNotFound, into.kind(), key)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("registry: record %s/%s: %w", into.kind(), key, err)
	}
	return nil
}

func (tx *Tx) put(rec record) error {
	kind, key := rec.kind(), rec.key()
	value, err := json.Marshal(rec)
	if err != nil {
		return fmt.Errorf("registry: record %s/%s: %w", kind, key, err)
	}
	if err := tx.note(kind, key, rec); err != nil {
		return err
	}
	if err := tx.kv.Put(recordKey(kind, key), value); err != nil {
		return fmt.Errorf("registry: record %s/%s: %w", kind, key, err)
	}
	return nil
}

func (tx *Tx) delete(kind, key string) error {
	if err := tx.note(kind, key, nil); err != nil {
		return err
	}
	return tx.kv.Delete(recordKey(kind, key))
}

// note remembers a change with the value before the transaction.
func (tx *Tx) note(kind, key string, is record) error {
	id := kind + "/" + key
	if at, ok := tx.index[id]; ok {
		tx.changes[at].is = is
		return nil
	}
	was, known := tx.shared(kind, key)
	if !known {
		was = newRecord(kind)
		if err := tx.read(was, key); errors.Is(err, ErrNotFound) {
			was = nil
		} else if err != nil {
			return err
		}
	}
	if tx.index == nil {
		tx.index = map[string]int{}
	}
	tx.index[id] = len(tx.changes)
	tx.changes = append(tx.changes, change{kind, key, was, is})
	return nil
}

// writes reports whether the transaction changes any record.
func (tx *Tx) writes() bool {
	for _, c := range tx.changes {
		if c.was != nil || c.is != nil {
			return true
		}
	}
	return false
}

// finish moves claims and checks the rules of all changed records.
func (tx *Tx) finish() error {
	for _, c := range tx.changes {
		if c.was == nil {
			continue
		}
		for _, name := range c.was.claims() {
			if err := tx.kv.Delete([]byte(claimPrefix + name)); err != nil {
				return err
			}
		}
	}
	for _, c := range tx.changes {
		if err := tx.settle(c); err != nil {
			return fmt.Errorf("%s %s: %w", c.kind, c.key, err)
		}
	}
	return nil
}

func (tx *Tx) settle(c change) error {
	if c.is == nil {
		if c.was == nil {
			return nil
		}
		return tx.checkGone(c)
	}
	for _, name := range c.is.claims() {
		holder, err := tx.kv.Get([]byte(claimPrefix + name))
		if err == nil {
			return fmt.Errorf("%w: %s belongs to %s", ErrConflict, name, holder)
		}
		if !errors.Is(err, kv.ErrNotFound) {
			return err
		}
		if err := tx.kv.Put([]byte(claimPrefix+name), []byte(c.kind+" "+c.key)); err != nil {
			return err
		}
	}
	if err := c.is.check(tx); err != nil || !lostVersions(c) {
		return err
	}
	return tx.osUsersKept()
}
