package kvtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hyzer/storage/kv"
)

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, backend Backend, test func(t *testing.T, e *env)) {
	synctest.Test(t, func(t *testing.T) { run(t, backend, test) })
}

func (e *env) putExpiring(key string, in time.Duration) kv.Revision {
	e.t.Helper()
	deadline := time.Now().Add(in)
	return e.update(func(tx kv.Tx) error { return tx.PutExpiring([]byte(key), []byte("v"), deadline) })
}

func testExpiry(t *testing.T, e *env) {
	w := e.watch("", 0)
	start := time.Now()
	e.putExpiring("later", 3*time.Hour)
	e.putExpiring("soon", 90*time.Second+500*time.Microsecond)
	e.put("stays", "v")
	e.wantState("later=v soon=v stays=v")
	e.wantEvents(e.collect(w, 4), "1 later=v", "2 soon=v", "3 stays=v", "4 soon expired")
	if took := time.Since(start); took < 90*time.Second+500*time.Microsecond || took > 90*time.Second+2*time.Millisecond {
		t.Errorf("expired after %v, want 90.0005 s, at most 2 ms late", took)
	}
	e.wantState("later=v stays=v")
	e.wantEvents(e.collect(w, 5), "5 later expired")
	if took := time.Since(start); took.Round(time.Second) != 3*time.Hour {
		t.Errorf("expired after %v, want 3 h", took)
	}
	e.putExpiring("past", -time.Hour)
	e.wantEvents(e.collect(w, 7), "6 past=v", "7 past expired")
	time.Sleep(time.Hour)
	e.wantState("stays=v")
	if e.Revision() != 7 {
		t.Errorf("revision %d, want 7", e.Revision())
	}
}

func testExpiryReplaced(t *testing.T, e *env) {
	for _, k := range []string{"renewed", "kept", "deleted", "again", "sooner"} {
		e.putExpiring(k, time.Minute)
	}
	e.putExpiring("renewed", time.Hour)
	e.putExpiring("sooner", time.Second)
	e.put("kept", "v")
	e.delete("deleted")
	e.update(func(tx kv.Tx) error {
		return errors.Join(tx.Delete([]byte("again")), tx.PutExpiring([]byte("again"), []byte("v"), time.Now().Add(time.Hour)))
	})
	time.Sleep(2 * time.Second)
	e.wantState("again=v kept=v renewed=v")
	time.Sleep(30 * time.Minute)
	e.wantState("again=v kept=v renewed=v")
	time.Sleep(30 * time.Minute)
	e.wantState("kept=v")
}

func testExpiryReopen(t *testing.T, e *env) {
	e.putExpiring("passes while closed", time.Minute)
	rev := e.putExpiring("passes after", time.Hour)
	e.ok(e.Close())
	time.Sleep(10 * time.Minute)
	store, err := e.openStore("store")
	e.ok(err)
	e.Store = store
	w := e.watch("", rev)
	e.wantEvents(e.collect(w, rev+1), "3 passes while closed expired")
	e.wantEvents(e.collect(w, rev+2), "4 passes after expired")
	e.wantState("")
}

func testExpiryMany(t *testing.T, e *env) {
	const n = 2000
	e.update(func(tx kv.Tx) error {
		for i := range n {
			e.ok(tx.PutExpiring(fmt.Appendf(nil, "k%04d", i), nil, time.Now().Add(time.Minute+time.Duration(i%7)*time.Millisecond)))
		}
		return nil
	})
	w := e.watch("", e.Revision())
	time.Sleep(2 * time.Minute)
	e.wantState("")
	if events := e.collect(w, e.Revision()); len(events) != n {
		t.Errorf("%d keys expired, want %d", len(events), n)
	}
}

func testBackup(t *testing.T, e *env) {
	ctx := context.Background()
	for i := range 100 {
		e.put(fmt.Sprintf("k%02d", i), "v")
	}
	want := e.state()
	e.ok(e.Backup(ctx, e.path("backup")))
	if err := e.Backup(ctx, e.path("backup")); err == nil {
		t.Fatal("Backup went to a directory that exists")
	}
	e.put("after", "")

	store, err := e.openStore("backup")
	e.ok(err)
	copied := &env{t: t, Store: store}
	defer func() { e.ok(store.Close()) }()
	copied.wantState(want)
	begun := copied.Revision()
	if begun <= e.Revision() {
		t.Errorf("the copy begins at %d, which the store at %d may reach", begun, e.Revision())
	}
	for _, rev := range []kv.Revision{0, 100, 101, begun - 1} {
		_, err := copied.Watch(ctx, nil, rev)
		copied.is(err, kv.ErrCompacted)
	}
	if rev := copied.put("own", ""); rev != begun+1 {
		t.Errorf("the next revision of the copy is %d, want %d", rev, begun+1)
	}
	if events := copied.collect(copied.watch("", begun), begun+1); len(events) != 1 {
		t.Errorf("the copy has a history of %d events, want 1", len(events))
	}
	e.wantState("after= " + want)
}

func testCloseEnds(t *testing.T, e *env) {
	ctx := context.Background()
	e.put("a", "")
	w := e.watch("", 1)
	ended := make(chan error)
	go func() { _, err := w.Next(ctx); ended <- err }()
	e.ok(e.Close())
	e.ok(e.Close())
	e.is(<-ended, kv.ErrClosed)
	_, err := e.Update(ctx, func(kv.Tx) error { return nil })
	e.is(err, kv.ErrClosed)
	_, err = e.Watch(ctx, nil, 0)
	e.is(err, kv.ErrClosed)
	e.is(e.View(ctx, func(kv.Reader) error { return nil }), kv.ErrClosed)
	e.is(e.Compact(ctx, 1), kv.ErrClosed)
	e.is(e.Backup(ctx, e.path("backup")), kv.ErrClosed)
	if e.Revision() != 1 {
		t.Errorf("revision %d of the closed store, want 1", e.Revision())
	}
	w.Close()
}

func testCloseWaits(t *testing.T, e *env) {
	inside, leave := make(chan struct{}), make(chan struct{})
	viewed, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		viewed <- e.View(context.Background(), func(r kv.Reader) error {
			close(inside)
			<-leave
			_, err := dump(r)
			return err
		})
	}()
	<-inside
	go func() { closed <- e.Close() }()
	for !errors.Is(e.View(context.Background(), func(kv.Reader) error { return nil }), kv.ErrClosed) {
		continue // until Close has begun
	}
	select {
	case <-closed:
		t.Error("Close did not wait for a View")
	default:
	}
	close(leave)
	e.ok(<-viewed)
	e.ok(<-closed)
}
