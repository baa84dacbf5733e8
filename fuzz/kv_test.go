package fuzz

import (
	"bytes"
	"testing"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv/record"
)

// FuzzKVRecord feeds all record decoders of the store. What one accepts must
// encode to the same bytes.
func FuzzKVRecord(f *testing.F) {
	f.Add(record.AppendHistory(nil, 300, []kv.Event{
		{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b"), Deleted: true}, {Key: []byte("c"), Deleted: true, Expired: true},
	}))
	f.Add(record.AppendState(nil, record.State{Value: []byte("v")}))
	f.Add(record.AppendState(nil, record.State{Expiring: true, Deadline: -5, Value: []byte("v")}))
	f.Add(record.AppendExpiryKey(nil, 1<<40, []byte("lease")))
	f.Add(record.AppendHistoryKey(nil, 7))
	f.Add(record.Format(record.FormatVersion))
	f.Add(record.Floor(3, 4))
	f.Add([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(what string, again []byte) {
			if !bytes.Equal(again, b) {
				t.Errorf("%s %x encodes to %x", what, b, again)
			}
		}
		if total, events, err := record.DecodeHistory(9, b); err == nil {
			same("history", record.AppendHistory(nil, total, events))
		}
		if st, err := record.DecodeState(b); err == nil {
			same("state", record.AppendState(nil, st))
		}
		if deadline, key, err := record.DecodeExpiryKey(b); err == nil {
			same("expiry key", record.AppendExpiryKey(nil, deadline, key))
		}
		if rev, err := record.DecodeHistoryKey(b); err == nil {
			same("history key", record.AppendHistoryKey(nil, rev))
		}
		if version, err := record.DecodeFormat(b); err == nil {
			same("format", record.Format(version))
		}
		if rev, total, err := record.DecodeFloor(b); err == nil {
			same("floor", record.Floor(rev, total))
		}
	})
}
