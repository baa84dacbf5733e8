package sig

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"
	"os"
	"sort"
)

const (
	// heldBytesMax is how much of a list is in memory: records of 8 GB in use.
	heldBytesMax = 4 << 20
	// cursorBytes is how much a Cursor reads at a time.
	cursorBytes = 64 << 10
)

// list is the records of a File, as they are stored: first those in a file, then
// those in memory. The identity is reckoned as records come.
type list struct {
	file  io.ReaderAt // nil: all are in memory
	base  int64       // where records begin in it
	filed int         // how many it has
	spill *os.File    // the same file, if the list made it
	held  []byte
	id    hash.Hash
}

func newList(f *File) *list {
	l := &list{id: sha256.New()}
	le := binary.LittleEndian
	l.id.Write(le.AppendUint32(le.AppendUint32(nil, uint32(f.Type)), uint32(f.BlockSectors)))
	return l
}

func (l *list) len() int { return l.filed + len(l.held)/RecordBytes }

// identify adds a record to the identity: all of it but the chunk.
func (l *list) identify(raw []byte) {
	l.id.Write(raw[:8])
	l.id.Write(raw[offHash:])
}

func (l *list) append(r Record) error {
	if l.file != nil && l.spill == nil {
		return errors.New("signature that was read from a file cannot be added to")
	}
	at := len(l.held)
	l.held = r.appendTo(l.held)
	l.identify(l.held[at:])
	if len(l.held) < heldBytesMax {
		return nil
	}
	return l.flush()
}

// flush moves what is in memory to a file without a name, which is gone when
// nobody has the list any more.
func (l *list) flush() error {
	if l.spill == nil {
		f, err := os.CreateTemp("", "signature")
		if err != nil {
			return err
		}
		if err := os.Remove(f.Name()); err != nil {
			return errors.Join(err, f.Close())
		}
		l.spill, l.file = f, f
	}
	if _, err := l.spill.WriteAt(l.held, int64(l.filed)*RecordBytes); err != nil {
		return err
	}
	l.filed += len(l.held) / RecordBytes
	l.held = l.held[:0]
	return nil
}

// read fills p with records from number i on, as many as there are, at most to
// the end of those in the file.
func (l *list) read(p []byte, i int) (int, error) {
	if i >= l.filed {
		return copy(p, l.held[(i-l.filed)*RecordBytes:]), nil
	}
	p = p[:min(len(p), (l.filed-i)*RecordBytes)]
	n, err := l.file.ReadAt(p, l.base+int64(i)*RecordBytes)
	if n == len(p) {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

func (l *list) writeTo(w io.Writer) (int64, error) {
	n := int64(0)
	if l.filed > 0 {
		var err error
		if n, err = io.Copy(w, io.NewSectionReader(l.file, l.base, int64(l.filed)*RecordBytes)); err != nil {
			return n, err
		}
	}
	m, err := w.Write(l.held)
	return n + int64(m), err
}

// Append adds a record, which must lie after all others.
func (f *File) Append(r Record) error {
	if f.list == nil {
		f.list = newList(f)
	}
	return f.list.append(r)
}

// Reset takes all records out of f. Copies of it keep them.
func (f *File) Reset() { f.list = nil }

// Len is the number of records.
func (f *File) Len() int {
	if f.list == nil {
		return 0
	}
	return f.list.len()
}

// Search is the number of the first record that ends after sector.
func (f *File) Search(sector uint64) (int, error) {
	var failed error
	raw := make([]byte, RecordBytes)
	i := sort.Search(f.Len(), func(i int) bool {
		if _, err := f.list.read(raw, i); err != nil {
			failed = err
		}
		return parseRecord(raw).End() > sector
	})
	return i, failed
}

// From returns a Cursor that begins at record i.
func (f *File) From(i int) *Cursor { return &Cursor{list: f.list, next: i} }

// Cursor goes through the records of a File:
//
//	for c := f.From(0); c.Next(); {
//		... c.Record() ...
//	}
//	... c.Err() ...
type Cursor struct {
	list *list
	next int    // after those in buf
	buf  []byte // the current record, and those read ahead
	full []byte // all of the memory of buf
	err  error
}

// Next goes on to the next record. It is false at the end and after an error.
func (c *Cursor) Next() bool {
	if len(c.buf) > RecordBytes {
		c.buf = c.buf[RecordBytes:]
		return true
	}
	c.buf = nil
	if c.list == nil || c.err != nil || c.next >= c.list.len() {
		return false
	}
	if c.full == nil {
		c.full = make([]byte, min(cursorBytes, (c.list.len()-c.next)*RecordBytes))
	}
	n, err := c.list.read(c.full, c.next)
	c.buf, c.err = c.full[:n], err
	c.next += n / RecordBytes
	return err == nil
}

// Record is the current record, after a Next that was true.
func (c *Cursor) Record() Record { return parseRecord(c.buf) }

// raw is the same as it is stored.
func (c *Cursor) raw() []byte { return c.buf[:RecordBytes] }

// Err tells why the records ended, if that was too early.
func (c *Cursor) Err() error { return c.err }
