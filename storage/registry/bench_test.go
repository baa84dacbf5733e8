package registry_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

// benchSite is a registry of n nodes on a real directory.
func benchSite(b *testing.B, n int) *registry.Registry {
	b.Helper()
	store, err := pebblekv.Open(b.TempDir()+"/db", pebblekv.Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	reg := openRegistry(b, store)
	file := &registry.SiteFile{Types: []registry.NodeType{{Name: "pc", Class: "pc"}}}
	for i := range n {
		file.Nodes = append(file.Nodes, registry.Node{ID: fmt.Sprint("pc", i), Type: "pc", Interfaces: []registry.Interface{
			{Name: "eth0", Role: registry.InterfaceControl, MAC: registry.MAC{2, 3: byte(i >> 16), 4: byte(i >> 8), 5: byte(i)}, IP: address(i)}}})
	}
	if err := reg.Import(b.Context(), file); err != nil {
		b.Fatal(err)
	}
	return reg
}

func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// BenchmarkUpdateState is one durable change of a node's state.
func BenchmarkUpdateState(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			reg := benchSite(b, 100)
			b.ReportAllocs()
			b.SetParallelism(writers)
			if writers == 1 {
				for i := 0; b.Loop(); i++ {
					putState(b, reg, i)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					putState(b, reg, i)
				}
			})
		})
	}
}

func putState(b *testing.B, reg *registry.Registry, i int) {
	_, err := reg.Update(b.Context(), func(tx *registry.Tx) error {
		state := &registry.NodeState{Node: fmt.Sprint("pc", i%100), Mode: "NORMALv2", State: "ISUP", Seq: uint64(i)}
		entry := &registry.StateLogEntry{Node: state.Node, Seq: state.Seq, Mode: state.Mode, To: state.State}
		return errors.Join(registry.AppendLog(tx, entry), registry.Put(tx, state))
	})
	if err != nil {
		b.Error(err)
	}
}

// BenchmarkChange is one change of a site record with its new snapshot; it must
// not grow with the site.
func BenchmarkChange(b *testing.B) {
	for _, nodes := range []int{100, 10_000} {
		b.Run(fmt.Sprint("nodes=", nodes), func(b *testing.B) {
			reg := benchSite(b, nodes)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				_, err := reg.Update(b.Context(), func(tx *registry.Tx) error {
					return registry.Put(tx, &registry.BootSelection{Node: fmt.Sprint("pc", i%100), DefCmdline: fmt.Sprint(i)})
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNodeByIP(b *testing.B) {
	for _, nodes := range []int{100, 10_000} {
		b.Run(fmt.Sprint("nodes=", nodes), func(b *testing.B) {
			s := benchSite(b, nodes).Snapshot()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := s.NodeByIP(address(i % nodes)); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}
