package lab_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"hyzer/bench/lab"
	"hyzer/bench/site"
	"hyzer/bench/vnode"
	"hyzer/netsvc/control"
)

// BenchmarkLoad loads eight nodes from power off to a running system, each time
// onto the same disks, with the files of this machine.
func BenchmarkLoad(b *testing.B) {
	image, err := site.MakeImage(b.Context(), site.ImageOptions{Dir: b.TempDir(), ContentBytes: 24 << 20})
	if errors.Is(err, site.ErrNoTools) {
		b.Skip(err)
	}
	if err != nil {
		b.Fatal(err)
	}
	const nodes = 8
	l, err := lab.Start(b.Context(), lab.Options{Dir: b.TempDir(), Nodes: nodes, Reserved: -1, Image: image, Node: fast, Log: testLog()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			b.Error(err)
		}
	}()
	b.SetBytes(image.ImageBytes * nodes)
	b.ReportAllocs()
	var loading time.Duration
	for b.Loop() {
		state, err := l.Load(b.Context(), control.LoadRequest{Nodes: l.Site.Names(), Images: linuxStd, WaitBoot: true})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Control.Stream(b.Context(), http.MethodGet, "/v1/loads/"+state.Job.ID+"/follow", nil, func([]byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
		loading += slowestLoad(l.Nodes)
	}
	b.ReportMetric(loading.Seconds()/float64(b.N), "s-loading/op")
	for i := range l.Nodes {
		if err := image.VerifyFile(l.DiskPath(i), 0); err != nil {
			b.Error(err)
		}
	}
}

// slowestLoad is the longest time from loadinfo's answer to a loaded disk in
// the nodes' last loads.
func slowestLoad(nodes []*vnode.Node) (slowest time.Duration) {
	for _, n := range nodes {
		var began time.Time
		var last time.Duration
		for _, e := range n.Timeline() {
			switch e.Phase {
			case vnode.PhaseLoading:
				began = e.At
			case vnode.PhaseLoaded:
				last = e.At.Sub(began)
			}
		}
		slowest = max(slowest, last)
	}
	return slowest
}
