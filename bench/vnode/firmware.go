package vnode

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"hyzer/netsvc/tftp"
)

// How the firmware and the loaders fetch files.
const (
	tftpBlockBytes   = 1408 // fits any Ethernet; what UEFI and iPXE ask for
	tftpWindow       = 16   // UEFI since 2018
	bootFileBytesMax = 256 << 20
)

// firmware is the power-on self test and the network boot.
func firmware(b *boot) stage {
	if !b.pause(b.cfg.Timing.POST) {
		return nil
	}
	b.lease = lease{}
	if b.at(StepDHCP) {
		return b.dead("no carrier on the boot interface")
	}
	return netboot(b)
}

// netboot is what PXE does, from DHCP to the start of the boot program.
func netboot(b *boot) stage {
	if err := b.unconfigureLink(); err != nil {
		return b.dead("interface %s: %v", b.cfg.Link, err)
	}
	ok, err := b.dhcp()
	switch {
	case b.ctx.Err() != nil:
		return nil
	case err != nil:
		return b.reset("DHCP: %v", err)
	case !ok:
		return b.reset("DHCP: no answer")
	case b.lease.file == "":
		return b.reset("DHCP names no boot file")
	}
	if b.at(StepTFTP) {
		return b.reset("TFTP open timeout for %s", b.lease.file)
	}
	if err := b.fetch(b.lease.next, b.lease.file); err != nil {
		return b.reset("%v", err)
	}
	return loader
}

// dhcp gets address and boot file and sets up the interface.
func (b *boot) dhcp() (ok bool, err error) {
	b.phase(PhaseDHCP, "DISCOVER")
	if b.cfg.Proxy {
		b.lease.ip = b.cfg.IP
		if err := b.configureLink(b.cfg.IP, netip.Addr{}); err != nil {
			return false, err
		}
	}
	c, err := b.openDHCP()
	if err != nil {
		return false, err
	}
	defer c.port.close()
	if b.cfg.Proxy {
		return c.askProxy()
	}
	if ok, err := c.acquire(); !ok || err != nil {
		return ok, err
	}
	return true, b.configureLink(b.lease.ip, b.lease.mask)
}

// fetch gets a file by TFTP and holds it against the sum it must have.
func (b *boot) fetch(server netip.Addr, name string) error {
	client := tftp.Client{
		Server:     netip.AddrPortFrom(server, b.cfg.Server.TFTP),
		Local:      netip.AddrPortFrom(b.cfg.IP, 0),
		BlockBytes: tftpBlockBytes, BytesMax: bootFileBytesMax,
	}
	if b.cfg.Arch != 0 {
		client.Window = tftpWindow
	}
	begin, sum := time.Now(), sha256.New()
	size, err := client.Get(b.ctx, name, sum)
	if err != nil {
		return err
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if want, known := b.cfg.Files[name]; known && got != want {
		return fmt.Errorf("file %s of %d bytes has SHA-256 %s, want %s", name, size, got, want)
	}
	b.event(Event{
		Phase: PhaseTFTP, Text: "fetched " + name, Bytes: size, BytesTotal: size,
		BytesPerSec: float64(size) / max(time.Since(begin).Seconds(), 1e-9),
	})
	return nil
}
