package bloblog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"hyzer/storage/kv"
)

// Log is the record of one boot's log.
type Log struct {
	Node    string    `json:"node"`
	Boot    uint64    `json:"boot"` // counts up for each node, from 1
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"` // of the last append
	// Bytes is the true length; what lies in [CutFrom, CutTo) is not kept.
	Bytes   int64 `json:"bytes"`
	CutFrom int64 `json:"cut_from,omitzero"`
	CutTo   int64 `json:"cut_to,omitzero"`
	// Closed says that the sender finished it.
	Closed bool `json:"closed,omitzero"`
	// LastChunk is the offset of the last chunk, for appending to it.
	LastChunk int64 `json:"last_chunk"`
}

// CutBytes is how much of the middle is not kept.
func (l *Log) CutBytes() int64 { return l.CutTo - l.CutFrom }

// Limits bound what is kept.
type Limits struct {
	HeadBytes int64 // of each log, from its beginning
	TailBytes int64 // of each log, up to its end
	BootsMax  int   // logs of each node
}

// DefaultLimits keep 16 MiB of each of the last 8 boots.
func DefaultLimits() Limits { return Limits{HeadBytes: 4 << 20, TailBytes: 12 << 20, BootsMax: 8} }

const (
	// chunkBytesMax is the most text under one key.
	chunkBytesMax = 64 << 10
	// mergeBytesMax is how large the last chunk may become by appending to
	// it, so that a log of short lines does not become a key per line.
	mergeBytesMax = 4 << 10
	// appendBytesMax bounds one Append.
	appendBytesMax = 4 << 20
	// readBytesMax is how much a reader takes from the store at once.
	readBytesMax = 1 << 20
)

// Errors that callers tell apart.
var (
	// ErrNotFound is returned for a log that does not exist, or no longer.
	ErrNotFound = errors.New("bloblog: no such boot log")
	// ErrGap is returned by Append when bytes are missing before the text;
	// the returned offset says where to go on.
	ErrGap = errors.New("bloblog: text does not follow what is stored")
	// ErrClosed is returned by Append on a finished log.
	ErrClosed = errors.New("bloblog: log is finished")
)

const prefix = "blog/"

func nodePrefix(node string) string { return prefix + node + "/" }

func bootPrefix(node string, boot uint64) string {
	return fmt.Sprintf("%s%016x/", nodePrefix(node), boot)
}

func recordKey(node string, boot uint64) []byte { return []byte(bootPrefix(node, boot) + "m") }

func chunkKey(node string, boot uint64, offset int64) []byte {
	return fmt.Appendf(nil, "%sc/%016x", bootPrefix(node, boot), offset)
}

// chunkOffset is the offset in a chunk's key; ok is false for other keys.
func chunkOffset(key []byte) (offset int64, ok bool) {
	dir, name := splitLast(string(key))
	if !strings.HasSuffix(dir, "/c") {
		return 0, false
	}
	n, err := strconv.ParseUint(name, 16, 63)
	return int64(n), err == nil
}

func splitLast(key string) (dir, name string) {
	i := strings.LastIndexByte(key, '/')
	if i < 0 {
		return "", key
	}
	return key[:i], key[i+1:]
}

// endOf is the first key after all keys with a prefix that ends in '/'.
func endOf(prefix string) []byte {
	return []byte(prefix[:len(prefix)-1] + "0") // '0' follows '/'
}

func readRecord(r kv.Reader, node string, boot uint64) (*Log, error) {
	value, err := r.Get(recordKey(node, boot))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, fmt.Errorf("%w: node %s, boot %d", ErrNotFound, node, boot)
	}
	if err != nil {
		return nil, err
	}
	return decodeRecord(value)
}

func decodeRecord(value []byte) (*Log, error) {
	log := &Log{}
	if err := json.Unmarshal(value, log); err != nil {
		return nil, fmt.Errorf("bloblog: record: %w", err)
	}
	return log, nil
}

func writeRecord(tx kv.Tx, log *Log) error {
	value, err := json.Marshal(log)
	if err != nil {
		return fmt.Errorf("bloblog: record: %w", err)
	}
	return tx.Put(recordKey(log.Node, log.Boot), value)
}

// newest finds a node's newest log before a boot number; nil if there is none.
func newest(r kv.Reader, node string, before uint64) (*Log, error) {
	var log *Log
	err := r.ScanRange([]byte(nodePrefix(node)), []byte(bootPrefix(node, before)), true, func(key, value []byte) error {
		if _, name := splitLast(string(key)); name != "m" {
			return fmt.Errorf("bloblog: key %q stands where a record should", key)
		}
		var err error
		if log, err = decodeRecord(value); err != nil {
			return err
		}
		return kv.ErrStop
	})
	return log, err
}
