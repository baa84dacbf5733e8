package xfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

const logBlocks = 64

// testLog is a log of which the blocks before head are of turn cycle, and the
// others of the one before.
func testLog(blocks int, cycle uint32, head int) []byte {
	log := make([]byte, blocks*basicBytes)
	for i := range blocks {
		c := cycle
		if i >= head {
			c--
		}
		binary.BigEndian.PutUint32(log[i*basicBytes:], c)
	}
	return log
}

// record puts a record at block at, of which the data is in the blocks after
// it; version 2 has so many header blocks.
func record(log []byte, at, headers, data, operations int, flags byte) {
	be := binary.BigEndian
	h := log[at*basicBytes:]
	be.PutUint32(h[offCycle:], be.Uint32(h))
	be.PutUint32(h, recordMagic)
	be.PutUint32(h[offRecordVer:], recordVersion2)
	be.PutUint32(h[offRecordBytes:], uint32(data*basicBytes))
	be.PutUint32(h[offOperations:], uint32(operations))
	be.PutUint32(h[offIclogBytes:], uint32(headers*headerSpanBytes))
	log[(at+headers)*basicBytes%len(log)+offOpFlags] = flags
}

func checkBytes(log []byte) error {
	scan, err := scanLog(io.NewSectionReader(bytes.NewReader(log), 0, int64(len(log))))
	if err != nil {
		return err
	}
	return scan.checkLast(bytes.NewReader(log))
}

// TestLog finds the end of the log wherever it is.
func TestLog(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                          string
		cycle                         uint32
		head                          int
		at, headers, data, operations int
		flags                         byte
		clean                         bool
	}{
		{name: "as mkfs writes it", cycle: 1, head: 2, at: 0, headers: 1, data: 1, operations: 1, flags: flagUnmount, clean: true},
		{name: "in the first turn", cycle: 1, head: 32, at: 30, headers: 1, data: 1, operations: 1, flags: flagUnmount, clean: true},
		{name: "in a later turn", cycle: 9, head: 32, at: 30, headers: 1, data: 1, operations: 1, flags: flagUnmount, clean: true},
		{name: "padded to a stripe", cycle: 9, head: 40, at: 8, headers: 1, data: 31, operations: 1, flags: flagUnmount, clean: true},
		{name: "eight headers", cycle: 9, head: 40, at: 31, headers: 8, data: 1, operations: 1, flags: flagUnmount, clean: true},
		{name: "up to the end", cycle: 9, head: logBlocks, at: logBlocks - 2, headers: 1, data: 1, operations: 1, flags: flagUnmount, clean: true},
		{name: "data at the start", cycle: 9, head: 1, at: logBlocks - 1, headers: 1, data: 1, operations: 1, flags: flagUnmount, clean: true},
		{name: "headers at the start", cycle: 9, head: 5, at: logBlocks - 4, headers: 8, data: 1, operations: 1, flags: flagUnmount, clean: true},
		{name: "another operation", cycle: 9, head: 32, at: 30, headers: 1, data: 1, operations: 1, flags: 1},
		{name: "operations before it", cycle: 9, head: 32, at: 30, headers: 1, data: 1, operations: 2, flags: flagUnmount},
		{name: "blocks after it", cycle: 9, head: 33, at: 30, headers: 1, data: 1, operations: 1, flags: flagUnmount},
		{name: "cut short", cycle: 9, head: 31, at: 30, headers: 1, data: 1, operations: 1, flags: flagUnmount},
		{name: "huge", cycle: 9, head: 40, at: 5, headers: 9, data: 26, operations: 1, flags: flagUnmount},
	} {
		log := testLog(logBlocks, c.cycle, c.head)
		record(log, c.at, c.headers, c.data, c.operations, c.flags)
		err := checkBytes(log)
		if (err == nil) != c.clean || err != nil && !errors.Is(err, errDirty) {
			t.Errorf("%s: clean %v, %v", c.name, c.clean, err)
		}
	}
}

// TestLogOrder refuses a log whose turns are not in order, as after writes
// that were lost.
func TestLogOrder(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(log []byte){
		"a lost block":       func(log []byte) { binary.BigEndian.PutUint32(log[10*basicBytes:], 8) },
		"a block too new":    func(log []byte) { binary.BigEndian.PutUint32(log[50*basicBytes:], 9) },
		"an old block":       func(log []byte) { binary.BigEndian.PutUint32(log[50*basicBytes:], 3) },
		"two turns between":  func(log []byte) { copy(log[32*basicBytes:], testLog(32, 7, 32)) },
		"all of it is zeros": func(log []byte) { clear(log) },
	} {
		log := testLog(logBlocks, 9, 32)
		record(log, 30, 1, 1, 1, flagUnmount)
		if err := checkBytes(log); err != nil {
			t.Fatal(err)
		}
		change(log)
		if err := checkBytes(log); !errors.Is(err, errDirty) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkScanLog(b *testing.B) {
	const blocks = 16 << 20 / basicBytes
	log := testLog(blocks, 9, 1000)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := scanLog(io.NewSectionReader(bytes.NewReader(log), 0, int64(len(log)))); err != nil {
			b.Fatal(err)
		}
	}
}
