package registry

import (
	"testing"

	"hyzer/storage/kv"
)

// TestApplySeveralTransactions: what one transaction wrote and the next deleted
// is gone, also when the follower gets both at once.
func TestApplySeveralTransactions(t *testing.T) {
	t.Parallel()
	reg := &Registry{moved: make(chan struct{})}
	reg.snapshot.Store(emptySnapshot())
	put := func(revision kv.Revision, kind, key, value string) kv.Event {
		return kv.Event{Revision: revision, Key: recordKey(kind, key), Value: []byte(value)}
	}
	gone := func(revision kv.Revision, kind, key string) kv.Event {
		return kv.Event{Revision: revision, Key: recordKey(kind, key), Deleted: true}
	}
	err := reg.apply([]kv.Event{
		put(1, kindNode, "pc1", `{"id": "pc1"}`), put(1, kindState, "pc1", `{"node": "pc1", "state": "ISUP", "seq": 1}`),
		put(2, kindCommand, "pc1", `{"node": "pc1", "kind": "REBOOT"}`), put(2, kindNode, "pc2", `{"id": "pc2"}`),
		gone(3, kindCommand, "pc1"),
		gone(4, kindNode, "pc2"),
		put(5, kindNode, "pc2", `{"id": "pc2", "type": "pc"}`),
		gone(6, kindState, "pc1"),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := reg.Snapshot()
	if s.Command("pc1") != nil || s.State("pc1").State != "" || s.Node("pc1") == nil || s.Node("pc2").Type != "pc" || s.Revision() != 6 {
		t.Errorf("command %+v, state %+v, nodes %+v, revision %d", s.Command("pc1"), s.State("pc1"), s.Nodes(), s.Revision())
	}
}
