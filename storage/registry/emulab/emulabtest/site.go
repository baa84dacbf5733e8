// Package emulabtest gives tests the site of the golden exchanges (shared
// specs, vectors/tmcd), and stores in memory to put sites into.
package emulabtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"hyzer/bench/shared"
	"hyzer/storage/kv/pebblekv"
	"hyzer/storage/registry"
	"hyzer/storage/registry/emulab"
)

// GoldenSite is the site of the golden exchanges: their rows, with the
// configuration of their manifest. It skips tb if they are absent.
func GoldenSite(tb testing.TB) (*registry.SiteFile, *emulab.Report) {
	tb.Helper()
	var dumps []io.Reader
	for _, name := range []string{"common.sql", "siteA.sql", "extra.sql"} {
		dumps = append(dumps, bytes.NewReader(shared.ReadFile(tb, "vectors/tmcd/"+name)))
	}
	file, report, err := emulab.Import(emulab.Options{Site: goldenConfig(tb)}, dumps...)
	if err != nil {
		tb.Fatal(err)
	}
	if len(report.Notes) > 0 {
		tb.Fatalf("import left rows:\n%s", strings.Join(report.Notes, "\n"))
	}
	return file, report
}

func goldenConfig(tb testing.TB) registry.Site {
	tb.Helper()
	var manifest struct {
		Config struct {
			BossNode string                                      `json:"bossnode"`
			BossIP   netip.Addr                                  `json:"boss_ip"`
			Domain   string                                      `json:"domain"`
			FSNode   string                                      `json:"fsnode"`
			Dirs     struct{ Proj, Groups, Users, Share string } `json:"fsdirs"`
		}
	}
	if err := json.Unmarshal(shared.ReadFile(tb, "vectors/tmcd/MANIFEST.json"), &manifest); err != nil {
		tb.Fatal(err)
	}
	conf := manifest.Config
	return registry.Site{
		Domain: conf.Domain, BossName: conf.BossNode, BossIP: conf.BossIP, FSName: conf.FSNode,
		Dirs: registry.SiteDirs{Proj: conf.Dirs.Proj, Groups: conf.Dirs.Groups, Users: conf.Dirs.Users, Share: conf.Dirs.Share},
	}
}

// Open puts a site, if there is one, into a store in memory, which checks every
// rule of the registry.
func Open(tb testing.TB, file *registry.SiteFile) *registry.Registry {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := pebblekv.Open("db", pebblekv.Options{FS: vfs.NewMem(), Logger: log})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { store.Close() })
	reg, err := registry.Open(context.Background(), store, log)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(reg.Close)
	if file == nil {
		return reg
	}
	if err := reg.Import(context.Background(), file); err != nil {
		tb.Fatal(err)
	}
	return reg
}
