package registry

import (
	"bytes"

	"hyzer/storage/kv"
)

// written is where transactions have changed records that the snapshot may not
// hold yet: each record's key, and the newest revision that may have changed it.
// A record that is not among them is in the snapshot as a transaction sees it.
// It is touched only in transactions, and those are serial.
type written struct {
	newest map[string]kv.Revision
	order  []writing
}

type writing struct {
	key      string
	revision kv.Revision
}

// note marks a key as changed, whether the transaction comes about or not.
func (w *written) note(key []byte, revision kv.Revision) {
	if !bytes.HasPrefix(key, []byte(recordPrefix)) || w.newest[string(key)] == revision {
		return
	}
	if w.newest == nil {
		w.newest = map[string]kv.Revision{}
	}
	one := writing{string(key), revision}
	w.newest[one.key] = revision
	w.order = append(w.order, one)
}

// forget drops the marks that a snapshot has caught up with.
func (w *written) forget(snapshot kv.Revision) {
	n := 0
	for n < len(w.order) && w.order[n].revision <= snapshot {
		if one := w.order[n]; w.newest[one.key] == one.revision {
			delete(w.newest, one.key)
		}
		n++
	}
	if w.order = w.order[n:]; len(w.order) == 0 {
		w.order = nil
	}
}

// noting is a kv.Tx whose writes are noted.
type noting struct {
	kv.Tx
	written *written
}

func (t noting) Put(key, value []byte) error {
	t.written.note(key, t.Revision()+1)
	return t.Tx.Put(key, value)
}

func (t noting) Delete(key []byte) error {
	t.written.note(key, t.Revision()+1)
	return t.Tx.Delete(key)
}

// shared returns the snapshot's own record, nil if there is none, where known
// says that it is what the transaction sees. It is for reading only.
func (tx *Tx) shared(kind, key string) (rec record, known bool) {
	if tx.of == nil || tx.of.written.newest[recordPrefix+kind+"/"+key] != 0 {
		return nil, false
	}
	s := tx.of.Snapshot()
	switch kind {
	case kindNode, kindBoot, kindReservation, kindCommand, kindLoad:
		return s.lookup(kind, key), true
	case kindState:
		// An empty one is in the cells of nodes that have no record too.
		if state := s.State(key); state.Seq > 0 {
			return state, true
		}
	}
	return nil, false
}

// Peek is Lookup for a record that the caller does not change: it may be the
// snapshot's own, which costs neither a read nor a decoding.
func Peek[T any, P recordPtr[T]](tx *Tx, key string) (*T, error) {
	var probe T
	rec, known := tx.shared(P(&probe).kind(), key)
	if !known {
		return Lookup[T, P](tx, key)
	}
	if rec == nil {
		return nil, nil
	}
	return (*T)(rec.(P)), nil
}
