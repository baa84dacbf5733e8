package pebblekv_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
)

func openBench(b *testing.B, dir string) *pebblekv.Store {
	b.Helper()
	s, err := pebblekv.Open(dir, quiet(nil))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// spread runs op n times in all from the given number of goroutines.
func spread(b *testing.B, writers, n int, op func(i int) error) time.Duration {
	start := time.Now()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				if err := op(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// BenchmarkUpdate runs Update and, alternating with it on the same disk, raw
// pebble Set(Sync). x-raw is the time of ours over the time of raw.
func BenchmarkUpdate(b *testing.B) {
	value := make([]byte, 100)
	for _, writers := range []int{1, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			dir := b.TempDir()
			s := openBench(b, filepath.Join(dir, "ours"))
			raw, err := pebble.Open(filepath.Join(dir, "raw"), &pebble.Options{
				Logger: discard{}, MemTableSize: pebblekv.DefaultMemTableBytes,
			})
			if err != nil {
				b.Fatal(err)
			}
			defer raw.Close()
			b.ReportAllocs()
			var ours, theirs time.Duration
			const slices = 8
			b.ResetTimer()
			for range slices {
				n := (b.N + slices - 1) / slices
				ours += spread(b, writers, n, func(i int) error {
					_, err := s.Update(context.Background(), func(tx kv.Tx) error {
						return tx.Put(fmt.Appendf(nil, "node/%06d/state", i%10000), value)
					})
					return err
				})
				b.StopTimer()
				theirs += spread(b, writers, n, func(i int) error {
					return raw.Set(fmt.Appendf(nil, "node/%06d/state", i%10000), value, pebble.Sync)
				})
				b.StartTimer()
			}
			b.ReportMetric(float64(b.N)/ours.Seconds(), "updates/s")
			b.ReportMetric(float64(b.N)/theirs.Seconds(), "raw/s")
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "x-raw")
		})
	}
}

type discard struct{}

func (discard) Infof(string, ...any)         {}
func (discard) Errorf(string, ...any)        {}
func (discard) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }

func fill(b *testing.B, s *pebblekv.Store, keys int) {
	if _, err := s.Update(context.Background(), func(tx kv.Tx) error {
		for i := range keys {
			if err := tx.Put(fmt.Appendf(nil, "node/%06d/state", i), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkViewGet(b *testing.B) {
	s := openBench(b, b.TempDir())
	fill(b, s, 10000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := s.View(context.Background(), func(r kv.Reader) error {
				_, err := r.Get(fmt.Appendf(nil, "node/%06d/state", i%10000))
				return err
			}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkViewScan1000(b *testing.B) {
	s := openBench(b, b.TempDir())
	fill(b, s, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.View(context.Background(), func(r kv.Reader) error {
			return r.Scan([]byte("node/"), func(k, v []byte) error { return nil })
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWatchFanOut updates one of 64 nodes under watchers: of other
// prefixes each, or all of the same. The store is in memory, so that what
// watchers cost an Update is not hidden by the disk.
func BenchmarkWatchFanOut(b *testing.B) {
	for _, test := range []struct {
		name     string
		watchers int
		prefix   func(i int) string
	}{
		{"none", 0, nil},
		{"own-prefix=5000", 5000, func(i int) string { return fmt.Sprintf("node/%06d/", i) }},
		{"same-prefix=100", 100, func(int) string { return "node/" }},
	} {
		b.Run(test.name, func(b *testing.B) {
			s, err := pebblekv.Open("/db", memOptions())
			if err != nil {
				b.Fatal(err)
			}
			var wg sync.WaitGroup
			for i := range test.watchers {
				w, err := s.Watch(context.Background(), []byte(test.prefix(i)), 0)
				if err != nil {
					b.Fatal(err)
				}
				wg.Go(func() {
					for {
						if _, err := w.Next(context.Background()); err != nil {
							return
						}
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			spread(b, 16, b.N, func(i int) error {
				_, err := s.Update(context.Background(), func(tx kv.Tx) error {
					return tx.Put(fmt.Appendf(nil, "node/%06d/state", i%64), []byte("ISUP"))
				})
				return err
			})
			b.StopTimer()
			if err := s.Close(); err != nil {
				b.Error(err)
			}
			wg.Wait()
		})
	}
}

func memOptions() pebblekv.Options {
	return quiet(vfs.NewMem())
}
