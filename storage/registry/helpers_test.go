package registry_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/storage/kv"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
)

var quiet = slog.New(slog.DiscardHandler)

// newStore opens a store in memory that keeps history for so many revisions.
func newStore(t testing.TB, history uint64) kv.Store {
	t.Helper()
	store, err := pebblekv.Open("/db", pebblekv.Options{FS: vfs.NewMem(), Logger: quiet, HistoryRevisions: history})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func openRegistry(t testing.TB, store kv.Store) *registry.Registry {
	t.Helper()
	reg, err := registry.Open(t.Context(), store, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(reg.Close)
	return reg
}

func parseSite(t testing.TB, text string) *registry.SiteFile {
	t.Helper()
	file, err := registry.ParseSiteFile(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// newSite is a registry that holds a site.
func newSite(t testing.TB, text string) *registry.Registry {
	t.Helper()
	reg := openRegistry(t, newStore(t, 0))
	if err := reg.Import(t.Context(), parseSite(t, text)); err != nil {
		t.Fatal(err)
	}
	return reg
}

// picture is all that a snapshot answers, as text. Frozen leaves out states
// and statuses, which move under a snapshot.
type picture struct{ Frozen, Moving string }

func pictureOf(t testing.TB, s *registry.Snapshot) picture {
	t.Helper()
	frozen := map[string]any{
		"records": s.Export(), "commands": s.Commands(), "errands": s.Errands(), "jobs": s.Jobs(), "count": s.NodeCount(),
	}
	moving := map[string]any{}
	for _, n := range s.Nodes() {
		frozen["guests of "+n.ID] = s.Guests(n.ID)
		frozen["uuid of "+n.ID] = named(s.NodeByUUID(n.UUID))
		frozen["key of "+n.ID] = named(s.NodeByWideAreaKey(n.WideAreaKey))
		for _, ifc := range n.Interfaces {
			port, _ := s.NodeByMAC(ifc.MAC)
			frozen["mac of "+n.ID+" "+ifc.Name] = named(port.Node)
			port, _ = s.NodeByIP(ifc.IP)
			frozen["ip of "+n.ID+" "+ifc.Name] = named(port.Node)
		}
		moving[n.ID] = []any{s.State(n.ID), s.Status(n.ID)}
	}
	for _, r := range s.Reservations() {
		frozen["external "+r.Node] = named(s.NodeByExternalKey(r.ExternalID))
	}
	for _, e := range s.Experiments() {
		frozen["members of "+e.Key()] = s.Members(e.Key())
	}
	for _, p := range s.Projects() {
		frozen["groups of "+p.ID] = s.ProjectGroups(p.ID)
	}
	return picture{asText(t, frozen), asText(t, moving)}
}

func named(n *registry.Node) string {
	if n == nil {
		return "-"
	}
	return n.ID
}

func asText(t testing.TB, v any) string {
	t.Helper()
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
