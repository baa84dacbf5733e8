package record

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"hyzer/storage/kv"
)

const (
	flagDeleted = 0x01
	flagExpired = 0x02

	changeBytesMin    = 2   // flags and keyLen of a deleted empty key
	preallocateMax    = 256 // changes; a lying count must not cost memory
	historySizeRecord = 16  // bytes counted for a revision
	historySizeChange = 8   // bytes counted for a change, over key and value
)

// HistorySize is what events count for in a total: near their size on disk.
func HistorySize(events []kv.Event) uint64 {
	n := uint64(historySizeRecord)
	for i := range events {
		n += historySizeChange + uint64(len(events[i].Key)+len(events[i].Value))
	}
	return n
}

// AppendHistory appends the record of one revision. The keys of events ascend.
func AppendHistory(dst []byte, total uint64, events []kv.Event) []byte {
	dst = binary.AppendUvarint(dst, total)
	dst = binary.AppendUvarint(dst, uint64(len(events)))
	for i := range events {
		dst = appendChange(dst, &events[i])
	}
	return dst
}

func appendChange(dst []byte, e *kv.Event) []byte {
	var flags byte
	if e.Deleted {
		flags |= flagDeleted
	}
	if e.Expired {
		flags |= flagExpired
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(len(e.Key)))
	dst = append(dst, e.Key...)
	if e.Deleted {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Value)))
	return append(dst, e.Value...)
}

// DecodeHistory decodes the record of revision rev. Keys and values alias b.
func DecodeHistory(rev kv.Revision, b []byte) (total uint64, events []kv.Event, err error) {
	d := decoder{rest: b}
	total = d.uvarint()
	count := d.uvarint()
	if count == 0 || count > uint64(len(d.rest)/changeBytesMin) {
		d.bad = true
	}
	if !d.bad {
		events = make([]kv.Event, 0, min(count, preallocateMax))
	}
	for range count {
		if d.bad {
			break
		}
		e := d.change(rev)
		if n := len(events); n > 0 && bytes.Compare(events[n-1].Key, e.Key) >= 0 {
			d.bad = true
		}
		events = append(events, e)
	}
	if d.bad || len(d.rest) != 0 {
		return 0, nil, fmt.Errorf("%w: history of revision %d, near byte %d of %d", ErrCorrupt, rev, len(b)-len(d.rest), len(b))
	}
	return total, events, nil
}

// decoder takes fields off the front of rest; after the first bad field it
// returns zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) change(rev kv.Revision) kv.Event {
	e := kv.Event{Revision: rev}
	switch flags := d.take(1); {
	case d.bad:
		return e
	case flags[0] == flagDeleted|flagExpired:
		e.Deleted, e.Expired = true, true
	case flags[0] == flagDeleted:
		e.Deleted = true
	case flags[0] != 0:
		d.bad = true
	}
	e.Key = d.take(d.uvarint())
	if !e.Deleted {
		e.Value = d.take(d.uvarint())
	}
	return e
}

func (d *decoder) take(n uint64) []byte {
	if d.bad || n > uint64(len(d.rest)) {
		d.bad = true
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

// uvarint refuses longer forms of a number than the shortest.
func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.bad || n <= 0 || n > 1 && d.rest[n-1] == 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}
