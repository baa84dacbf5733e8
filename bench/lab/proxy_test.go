package lab_test

import (
	"testing"

	"hyzer/bench/lab"
	"hyzer/bench/vnode"
	"hyzer/netsvc/control"
	"hyzer/storage/registry"
)

// TestProxyDHCP loads machines that have their addresses from elsewhere: BIOS
// takes the boot file from the proxy's offer, UEFI asks its port 4011.
func TestProxyDHCP(t *testing.T) {
	t.Parallel()
	image := imageFor(t, false)
	l := start(t, lab.Options{Nodes: 2, Reserved: -1, Image: image, DHCP: registry.DHCPProxy, Node: func(i int, cfg *vnode.Config) {
		fast(i, cfg)
		cfg.Proxy = true
		cfg.Arch = []uint16{0, 7}[i]
	}})
	wantDone(t, load(t, l, control.LoadRequest{}), l.Site.Names()...)
	for i := range l.Nodes {
		if err := image.VerifyFile(l.DiskPath(i), 0); err != nil {
			t.Error(err)
		}
	}
	for i, want := range []string{"/tftpboot/pxeboot.emu", "/tftpboot/ipxe.efi"} {
		found := false
		for _, e := range l.Nodes[i].Timeline() {
			found = found || e.Phase == vnode.PhaseTFTP && e.Text == "fetched "+want
		}
		if !found {
			t.Errorf("%s did not fetch %s", l.Nodes[i].Name(), want)
		}
	}
}
