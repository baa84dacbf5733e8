package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"hyzer/storage/kv"
)

// Opener opens the store kept under a name, making it if it is not there.
// A name is a path relative to wherever the backend keeps its stores; a test
// uses "store", and the names it gives to Backup.
type Opener func(name string) (kv.Store, error)

// Backend makes an empty place to keep stores for one test, and returns its
// Opener and the path Backup needs for a name. It may be called in a
// testing/synctest bubble, and then must take time from package time.
type Backend func(t *testing.T) (open Opener, path func(name string) string)

// Run runs the whole contract against backend.
func Run(t *testing.T, backend Backend) {
	tests := []struct {
		name string
		run  func(t *testing.T, e *env)
	}{
		{"Empty", testEmpty},
		{"PutGetDelete", testPutGetDelete},
		{"OwnWrites", testOwnWrites},
		{"ScanOrder", testScanOrder},
		{"ScanSeesItsBeginning", testScanSeesItsBeginning},
		{"SlicesAreTheCallers", testSlicesAreTheCallers},
		{"Limits", testLimits},
		{"FailedUpdateLeavesNoTrace", testFailedUpdate},
		{"PanicIsTheCallers", testPanic},
		{"GoexitIsTheCallers", testGoexit},
		{"NoChangeIsNoRevision", testNoChange},
		{"CancelledContext", testCancelled},
		{"ViewIsConsistent", testViewConsistent},
		{"ViewIsASnapshot", testViewSnapshot},
		{"UpdatesAreSerial", testSerial},
		{"FailingNeighbours", testFailingNeighbours},
		{"Reopen", testReopen},
		{"WatchFromTheBeginning", testWatchHistory},
		{"WatchPrefix", testWatchPrefix},
		{"WatchNetChanges", testWatchNetChanges},
		{"WatchWholeRevisions", testWatchWholeRevisions},
		{"WatchSurvivesReopen", testWatchReopen},
		{"WatchFuture", testWatchFuture},
		{"WatchSeesWhatViewSees", testWatchView},
		{"WatchContextAndClose", testWatchClose},
		{"SlowWatcher", testSlowWatcher},
		{"ManyWatchers", testManyWatchers},
		{"WatchersUnderLoad", testWatchersUnderLoad},
		{"Compact", testCompact},
		{"CompactUnderWatcher", testCompactUnderWatcher},
		{"Expiry", testExpiry},
		{"ExpiryIsReplaced", testExpiryReplaced},
		{"ExpirySurvivesReopen", testExpiryReopen},
		{"ExpiryOfMany", testExpiryMany},
		{"Backup", testBackup},
		{"CloseEndsEverything", testCloseEnds},
		{"CloseWaits", testCloseWaits},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(test.name, "Expiry") {
				inBubble(t, backend, test.run)
				return
			}
			run(t, backend, test.run)
		})
	}
}

func run(t *testing.T, backend Backend, test func(t *testing.T, e *env)) {
	open, path := backend(t)
	e := &env{t: t, openStore: open, path: path}
	e.reopen()
	defer func() { e.ok(e.Close()) }()
	test(t, e)
}

// env is a store and shorthand for its methods, which fail the test on error.
type env struct {
	kv.Store
	t         *testing.T
	openStore Opener
	path      func(name string) string
}

func (e *env) ok(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// is fails the test unless err is target.
func (e *env) is(err, target error) {
	e.t.Helper()
	if !errors.Is(err, target) {
		e.t.Fatalf("error is %v, want %v", err, target)
	}
}

func (e *env) reopen() {
	e.t.Helper()
	if e.Store != nil {
		e.ok(e.Close())
	}
	store, err := e.openStore("store")
	e.ok(err)
	e.Store = store
}

func (e *env) update(fn func(tx kv.Tx) error) kv.Revision {
	e.t.Helper()
	rev, err := e.Update(context.Background(), fn)
	e.ok(err)
	return rev
}

func (e *env) put(key, value string) kv.Revision {
	e.t.Helper()
	return e.update(func(tx kv.Tx) error { return tx.Put([]byte(key), []byte(value)) })
}

func (e *env) delete(key string) kv.Revision {
	e.t.Helper()
	return e.update(func(tx kv.Tx) error { return tx.Delete([]byte(key)) })
}

// state is the whole store as "k=v k=v".
func (e *env) state() string {
	e.t.Helper()
	var all string
	e.ok(e.View(context.Background(), func(r kv.Reader) (err error) {
		all, err = dump(r)
		return err
	}))
	return all
}

func (e *env) wantState(want string) {
	e.t.Helper()
	if got := e.state(); got != want {
		e.t.Fatalf("the store holds %q, want %q", got, want)
	}
}

func dump(r kv.Reader) (string, error) {
	var pairs []string
	err := r.Scan(nil, func(k, v []byte) error {
		pairs = append(pairs, string(k)+"="+string(v))
		return nil
	})
	return strings.Join(pairs, " "), err
}

func (e *env) watch(prefix string, after kv.Revision) kv.Watcher {
	e.t.Helper()
	w, err := e.Watch(context.Background(), []byte(prefix), after)
	e.ok(err)
	e.t.Cleanup(w.Close)
	return w
}

// collect reads events until one of revision until or later has come.
func (e *env) collect(w kv.Watcher, until kv.Revision) []kv.Event {
	e.t.Helper()
	var all []kv.Event
	for len(all) == 0 || all[len(all)-1].Revision < until {
		events, err := w.Next(context.Background())
		e.ok(err)
		if len(events) == 0 {
			e.t.Fatal("Next returned no event and no error")
		}
		all = append(all, events...)
	}
	return all
}

func (e *env) wantEvents(got []kv.Event, want ...string) {
	e.t.Helper()
	lines := make([]string, len(got))
	for i, ev := range got {
		lines[i] = format(ev)
	}
	if !slices.Equal(lines, want) {
		e.t.Fatalf("events\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// format is "rev key=value", "rev key deleted" or "rev key expired".
func format(ev kv.Event) string {
	switch {
	case ev.Deleted && ev.Value != nil, ev.Expired && !ev.Deleted, !ev.Deleted && ev.Value == nil:
		return fmt.Sprintf("contradictory event %+v", ev)
	case ev.Expired:
		return fmt.Sprintf("%d %s expired", ev.Revision, ev.Key)
	case ev.Deleted:
		return fmt.Sprintf("%d %s deleted", ev.Revision, ev.Key)
	}
	return fmt.Sprintf("%d %s=%s", ev.Revision, ev.Key, ev.Value)
}

// wantQuiet fails the test if the watcher has anything to deliver. It puts a
// key the watcher must see, so it needs no waiting.
func (e *env) wantQuiet(w kv.Watcher, prefix string) {
	e.t.Helper()
	rev := e.put(prefix+"\xffend", "")
	events := e.collect(w, rev)
	if len(events) != 1 || !bytes.HasSuffix(events[0].Key, []byte("\xffend")) {
		e.t.Fatalf("the watcher had more to deliver: %v", events)
	}
}
