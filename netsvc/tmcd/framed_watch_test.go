package tmcd

import (
	"context"
	"fmt"
	"testing"

	"hyzer/netsvc/tmc2"
	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab/emulabtest"
)

// TestWatch tells a node of what changes for it, and of nothing else, until it
// cancels or may not ask any more.
func TestWatch(t *testing.T) {
	t.Parallel()
	reg := emulabtest.Open(t, loopSite())
	s, _ := startServer(t, func(c *Config) { c.Snapshot, c.Moved = reg.Snapshot, reg.Moved })
	put := func(change func(tx *registry.Tx) error) {
		t.Helper()
		if _, err := reg.Update(context.Background(), change); err != nil {
			t.Fatal(err)
		}
	}
	startup := func(node, cmd string) {
		put(func(tx *registry.Tx) error { return registry.Put(tx, &registry.Runtime{Node: node, StartupCmd: cmd}) })
	}
	c := dialFramed(t, s, "127.0.1.1", 1)
	notice := func() tmc2.Notify {
		t.Helper()
		f, err := c.next()
		if err != nil || f.Type != tmc2.TypeNotify || f.Stream != 1 {
			t.Fatalf("%+v, %v, want NOTIFY", f, err)
		}
		n, err := tmc2.DecodeNotify(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	c.send(framedRequest(1, 1, "watch"))
	first := notice() // a client without etag learns what there is
	startup("n2", "not for n1")
	startup("n1", "/bin/true")
	changed := notice()
	if first.Notice != tmc2.NoticeConfig || changed.Notice != tmc2.NoticeConfig || changed.Generation == first.Generation {
		t.Errorf("%+v, then %+v", first, changed)
	}
	put(func(tx *registry.Tx) error {
		return registry.Put(tx, &registry.Command{Node: "n1", Kind: "REBOOT", Generation: 7})
	})
	if n := notice(); n != (tmc2.Notify{Notice: tmc2.NoticeReboot, Generation: 7}) {
		t.Errorf("order: %+v", n)
	}
	c.send(framedRequest(3, 2, "nodeid")) // others are answered meanwhile
	if got := c.answer(); got != "3 0 n1\n" {
		t.Errorf("beside a watch: %q", got)
	}
	c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeCancel, Stream: 1}))
	if got := c.answer(); got != fmt.Sprintf("1 %d ", tmc2.CodeCancelled) {
		t.Errorf("cancelled: %q", got)
	}
	// A client that has what there is hears of the next change only.
	r := tmc2.Request{ID: 3, Command: []byte("watch"), ETag: changed.Generation}
	c.send(tmc2.AppendFrame(nil, tmc2.Frame{Type: tmc2.TypeRequest, Flags: tmc2.FlagEnd, Stream: 5, Payload: tmc2.AppendRequest(nil, &r)}))
	c.send(framedRequest(7, 4, "nodeid"))
	for range 3 { // the order still stands; the answers come beside it
		f, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		if f.Type == tmc2.TypeNotify && f.Payload[0] == byte(tmc2.NoticeConfig) {
			t.Errorf("told of nothing new: %x", f.Payload)
		}
	}
}
