package bloblog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
)

func openStore(tb testing.TB, fs vfs.FS) kv.Store {
	tb.Helper()
	store, err := pebblekv.Open("db", pebblekv.Options{FS: fs, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

func openLogs(tb testing.TB, limits Limits) *Logs {
	tb.Helper()
	store := openStore(tb, vfs.NewMem())
	tb.Cleanup(func() { store.Close() })
	return New(store, limits, func() time.Time { return time.Unix(1000, 0) })
}

func text(tb testing.TB, l *Logs, node string, boot uint64) string {
	tb.Helper()
	var b bytes.Buffer
	if err := l.WriteTo(context.Background(), &b, node, boot, 0); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// pattern is text in which every place can be told from the others.
func pattern(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%08d\n", i)
	}
	return b.String()[:n]
}

// TestStoreAndRead keeps logs of many sizes whole.
func TestStoreAndRead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 500, mergeBytesMax, chunkBytesMax, chunkBytesMax + 1, storeBytes, storeBytes + 1, readBytesMax + 12345} {
		l := openLogs(t, DefaultLimits())
		want := pattern(size)
		if err := l.Store(context.Background(), "pc1", strings.NewReader(" \n\t"+want)); err != nil {
			t.Fatal(err)
		}
		if got := text(t, l, "pc1", 0); got != want {
			t.Errorf("%d bytes: read %d other ones", size, len(got))
		}
		log, err := l.Get(context.Background(), "pc1", 1)
		if err != nil || log.Bytes != int64(size) || log.CutBytes() != 0 || !log.Closed {
			t.Errorf("%d bytes: record %+v, %v", size, log, err)
		}
	}
}

// TestNothingToStore makes no log.
func TestNothingToStore(t *testing.T) {
	t.Parallel()
	l := openLogs(t, DefaultLimits())
	if err := l.Store(context.Background(), "pc1", strings.NewReader(strings.Repeat(" \n", storeBytes))); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Get(context.Background(), "pc1", 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v, want none", err)
	}
}

// TestBrokenSender keeps what came before the failure.
func TestBrokenSender(t *testing.T) {
	t.Parallel()
	l := openLogs(t, DefaultLimits())
	lost := errors.New("connection lost")
	err := l.Store(context.Background(), "pc1", io.MultiReader(strings.NewReader("the begin"), iotest.ErrReader(lost)))
	if !errors.Is(err, lost) || text(t, l, "pc1", 0) != "the begin" {
		t.Errorf("%v, kept %q", err, text(t, l, "pc1", 0))
	}
}

// TestMiddleIsCut: head and tail stay, and the record knows the rest.
func TestMiddleIsCut(t *testing.T) {
	t.Parallel()
	limits := Limits{HeadBytes: 2 * chunkBytesMax, TailBytes: 3 * chunkBytesMax, BootsMax: 2}
	l := openLogs(t, limits)
	const size = 20*chunkBytesMax + 777
	want := pattern(size)
	if err := l.Store(context.Background(), "pc1", strings.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	log, err := l.Get(context.Background(), "pc1", 0)
	if err != nil || log.Bytes != size {
		t.Fatalf("record %+v, %v", log, err)
	}
	if log.CutFrom != limits.HeadBytes || size-log.CutTo < limits.TailBytes || size-log.CutTo > limits.TailBytes+chunkBytesMax {
		t.Errorf("cut [%d, %d) of %d", log.CutFrom, log.CutTo, size)
	}
	shown := want[:log.CutFrom] + fmt.Sprintf("\n[%d bytes cut]\n", log.CutBytes()) + want[log.CutTo:]
	if got := text(t, l, "pc1", 0); got != shown {
		t.Errorf("read %d bytes, want %d", len(got), len(shown))
	}
}

// TestShortLinesShareChunks: a line at a time does not make a key per line.
func TestShortLinesShareChunks(t *testing.T) {
	t.Parallel()
	l := openLogs(t, DefaultLimits())
	ctx := context.Background()
	boot, err := l.Begin(ctx, "pc1")
	if err != nil {
		t.Fatal(err)
	}
	want := pattern(9 * 1000)
	for at := int64(0); at < int64(len(want)); {
		if at, err = l.Append(ctx, "pc1", boot, at, []byte(want[at:at+9])); err != nil {
			t.Fatal(err)
		}
	}
	if got := text(t, l, "pc1", boot); got != want {
		t.Errorf("read %d bytes, want %d", len(got), len(want))
	}
	_, chunks, err := l.ReadAt(ctx, "pc1", boot, 0)
	if most := len(want)/(mergeBytesMax/2) + 1; err != nil || len(chunks) > most {
		t.Errorf("%d chunks, want at most %d: %v", len(chunks), most, err)
	}
	if _, chunks, err = l.ReadAt(ctx, "pc1", boot, 4500); err != nil || chunks[0].Offset != 4500 || !strings.HasPrefix(string(chunks[0].Text), "00000500\n") {
		t.Errorf("reading from 4500: %v", err)
	}
}

// TestAppendIsIdempotent: a sender may repeat and overlap, but not skip.
func TestAppendIsIdempotent(t *testing.T) {
	t.Parallel()
	l := openLogs(t, DefaultLimits())
	ctx := context.Background()
	boot, err := l.Begin(ctx, "pc1")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		offset  int64
		text    string
		durable int64
		err     error
	}{
		{0, "abc", 3, nil},
		{0, "abc", 3, nil},
		{1, "bcdef", 6, nil},
		{8, "x", 6, ErrGap},
		{-1, "x", 6, ErrGap},
		{6, "", 6, nil},
	} {
		if at, err := l.Append(ctx, "pc1", boot, tc.offset, []byte(tc.text)); at != tc.durable || !errors.Is(err, tc.err) {
			t.Errorf("append %q at %d: %d, %v", tc.text, tc.offset, at, err)
		}
	}
	if err := l.Close(ctx, "pc1", boot); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(ctx, "pc1", boot, 0, []byte("abcdef")); err != nil {
		t.Errorf("repeating on a finished log: %v", err)
	}
	if _, err := l.Append(ctx, "pc1", boot, 6, []byte("g")); !errors.Is(err, ErrClosed) {
		t.Errorf("appending to a finished log: %v", err)
	}
	if _, err := l.Append(ctx, "pc1", boot+1, 0, []byte("g")); !errors.Is(err, ErrNotFound) {
		t.Errorf("appending to no log: %v", err)
	}
}

// TestOldBootsGo: the newest stay, newest first, and nodes do not mix.
func TestOldBootsGo(t *testing.T) {
	t.Parallel()
	l := openLogs(t, Limits{HeadBytes: 1 << 10, TailBytes: 1 << 10, BootsMax: 3})
	ctx := context.Background()
	for i := range 5 {
		for _, node := range []string{"pc1", "pc10"} {
			if err := l.Store(ctx, node, strings.NewReader(fmt.Sprintf("%s boot %d", node, i+1))); err != nil {
				t.Fatal(err)
			}
		}
	}
	logs, err := l.List(ctx, "pc1")
	if err != nil || len(logs) != 3 {
		t.Fatalf("%d logs, %v", len(logs), err)
	}
	for i, log := range logs {
		want := fmt.Sprintf("pc1 boot %d", 5-i)
		if got := text(t, l, "pc1", log.Boot); got != want || log.Node != "pc1" {
			t.Errorf("log %d: %q, want %q", i, got, want)
		}
	}
	if _, err := l.Get(ctx, "pc1", 2); !errors.Is(err, ErrNotFound) {
		t.Errorf("boot 2: %v, want none", err)
	}
}

// TestFollow gets what is there, then what comes, each byte once.
func TestFollow(t *testing.T) {
	t.Parallel()
	l := openLogs(t, DefaultLimits())
	ctx := context.Background()
	boot, err := l.Begin(ctx, "pc1")
	if err != nil {
		t.Fatal(err)
	}
	want := pattern(200 << 10)
	at, err := l.Append(ctx, "pc1", boot, 0, []byte(want[:1000]))
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan struct{})
	type result struct {
		text string
		err  error
	}
	done := make(chan result)
	go func() {
		var b strings.Builder
		next := int64(0)
		err := l.Follow(ctx, "pc1", 0, 0, func(c Chunk) error {
			if c.Offset != next {
				return fmt.Errorf("chunk at %d, want %d", c.Offset, next)
			}
			if next == 0 {
				close(first)
			}
			b.Write(c.Text)
			next = c.Offset + int64(len(c.Text))
			return nil
		})
		done <- result{b.String(), err}
	}()
	<-first
	for at < int64(len(want)) {
		end := min(at+1+rand.Int64N(5000), int64(len(want)))
		if at, err = l.Append(ctx, "pc1", boot, at, []byte(want[at:end])); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(ctx, "pc1", boot); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r.err != nil || r.text != want {
		t.Errorf("followed %d bytes of %d: %v", len(r.text), len(want), r.err)
	}
}

// TestFollowEndsWithContext stops a follower of a log that is not finished.
func TestFollowEndsWithContext(t *testing.T) {
	t.Parallel()
	l := openLogs(t, DefaultLimits())
	boot, err := l.Begin(context.Background(), "pc1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(context.Background(), "pc1", boot, 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = l.Follow(ctx, "pc1", boot, 0, func(Chunk) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want cancelled", err)
	}
}

// TestCrash kills the store at random places. What was acknowledged is there,
// and the sender goes on from it with no gap and nothing twice.
func TestCrash(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	limits := Limits{HeadBytes: 1 << 20, TailBytes: 1 << 20, BootsMax: 2}
	want := pattern(120 << 10)
	fs := vfs.NewCrashableMem()
	store := openStore(t, fs)
	l := New(store, limits, nil)
	boot, err := l.Begin(ctx, "pc1")
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < int64(len(want)); {
		for range 1 + rng.IntN(4) {
			end := min(at+1+rng.Int64N(9000), int64(len(want)))
			if at, err = l.Append(ctx, "pc1", boot, at, []byte(want[at:end])); err != nil {
				t.Fatal(err)
			}
		}
		crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		store.Close()
		fs, store = crashed, openStore(t, crashed)
		l = New(store, limits, nil)
		log, err := l.Get(ctx, "pc1", boot)
		if err != nil || log.Bytes < at {
			t.Fatalf("after a crash: %+v, %v; acknowledged %d", log, err, at)
		}
		if got := text(t, l, "pc1", boot); got != want[:log.Bytes] {
			t.Fatalf("after a crash: %d other bytes, want %d", len(got), log.Bytes)
		}
		at = log.Bytes
	}
	store.Close()
}

// TestNodeNames refuses what would leave the node's own keys.
func TestNodeNames(t *testing.T) {
	t.Parallel()
	l := openLogs(t, DefaultLimits())
	for _, node := range []string{"", "a/b", "a\x00"} {
		if _, err := l.Begin(context.Background(), node); err == nil {
			t.Errorf("node %q was accepted", node)
		}
	}
}

func BenchmarkStore(b *testing.B) {
	l := openLogs(b, DefaultLimits())
	log := pattern(64 << 10)
	b.SetBytes(int64(len(log)))
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Store(context.Background(), "pc1", strings.NewReader(log)); err != nil {
			b.Fatal(err)
		}
	}
}
