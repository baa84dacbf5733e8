package lab_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"hyzer/bench/lab"
	"hyzer/bench/vnode"
	"hyzer/netsvc/control"
)

// TestLoadBreaks lets loads break off in every way. The loaders say why, but
// report no state; an operator cycles their power, and they load again.
func TestLoadBreaks(t *testing.T) {
	t.Parallel()
	faults := []struct{ fault, state, log string }{
		{"loadinfo:1", "RELOADSETUP", "*** loadinfo: no answer"},
		{"multicast:1", "RELOADING", "receiving: network is unreachable"},
		{"unzip:1", "RELOADING", "input/output error"},
	}
	image := imageFor(t, false)
	l := start(t, lab.Options{Nodes: len(faults), Reserved: -1, Image: image, Node: func(i int, cfg *vnode.Config) {
		fast(i, cfg)
		cfg.FailAt = faults[i].fault
	}})
	state, err := l.Load(t.Context(), control.LoadRequest{Nodes: l.Site.Names(), Images: linuxStd, WaitBoot: true})
	if err != nil {
		t.Fatal(err)
	}
	awaitPhase(t, l.Nodes, vnode.PhaseFailed)
	for i, f := range faults {
		name := l.Nodes[i].Name()
		if n := nodeNow(t, l, name); n.State.State != f.state {
			t.Errorf("%s: state %s, want %s", name, n.State.State, f.state)
		}
		var log bytes.Buffer
		if err := l.Control.Copy(t.Context(), http.MethodGet, "/v1/nodes/"+name+"/boot", nil, &log); err != nil {
			t.Error(err)
		}
		for _, part := range []string{f.log, "dhcp: ACK of ", "mfs: /tftpboot/frisbee starts"} {
			if !strings.Contains(log.String(), part) {
				t.Errorf("%s: %q is not in the log:\n%s", name, part, log.String())
			}
		}
	}
	cycle := control.CommandRequest{Nodes: l.Site.Names(), Kind: "POWERCYCLE", By: "test"}
	if err := l.Control.Call(t.Context(), http.MethodPost, "/v1/commands", cycle, nil); err != nil {
		t.Fatal(err)
	}
	wantDone(t, fates(t, l, state.Job.ID), l.Site.Names()...)
	for i := range l.Nodes {
		if err := image.VerifyFile(l.DiskPath(i), 0); err != nil {
			t.Error(err)
		}
	}
}
