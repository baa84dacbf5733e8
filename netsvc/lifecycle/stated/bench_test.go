package stated_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"hyzer/netsvc/lifecycle/stated"
	"hyzer/netsvc/lifecycle/stated/statedtest"
	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

const benchNodes = 256

// BenchmarkReport is one durable report of a node on a real directory, beside
// the raw store's Update of as many bytes.
func BenchmarkReport(b *testing.B) {
	quiet := slog.New(slog.DiscardHandler)
	store, err := pebblekv.Open(b.TempDir()+"/db", pebblekv.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	reg, err := registry.Open(b.Context(), store, quiet)
	if err != nil {
		b.Fatal(err)
	}
	defer reg.Close()
	file, err := registry.ParseSiteFile(strings.NewReader(statedtest.Catalogue))
	if err != nil {
		b.Fatal(err)
	}
	for i := range benchNodes {
		id := fmt.Sprint("pc", i)
		file.Nodes = append(file.Nodes, registry.Node{ID: id, Type: "pc"})
		file.Boots = append(file.Boots, registry.BootSelection{Node: id, Def: registry.HeadRef("sys", "STD")})
	}
	if err := reg.Import(b.Context(), file); err != nil {
		b.Fatal(err)
	}
	runner := stated.New(stated.Config{Registry: reg, Actor: &statedtest.Actor{}, Log: quiet})
	var node atomic.Int64
	report := func(i int) error {
		return runner.Report(context.Background(), fmt.Sprint("pc", int(node.Add(1))%benchNodes), "client", []string{"TBSETUP", "ISUP"}[i%2])
	}
	value := make([]byte, 600) // a state record and a log entry
	raw := func(i int) error {
		_, err := store.Update(context.Background(), func(tx kv.Tx) error { return tx.Put(fmt.Appendf(nil, "raw/%d", i%benchNodes), value) })
		return err
	}
	for _, c := range []struct {
		name    string
		writers int
		do      func(int) error
	}{{"report", 1, report}, {"report", 64, report}, {"raw", 1, raw}, {"raw", 64, raw}} {
		b.Run(fmt.Sprintf("%s/writers=%d", c.name, c.writers), func(b *testing.B) {
			b.ReportAllocs()
			if c.writers == 1 {
				for i := 0; b.Loop(); i++ {
					if err := c.do(i); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			b.SetParallelism(c.writers)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if err := c.do(i); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
