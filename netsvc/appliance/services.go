package appliance

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"hyzer/netsvc/bootfiles"
	"hyzer/netsvc/bootinfo"
	"hyzer/netsvc/control"
	"hyzer/netsvc/dhcp"
	"hyzer/netsvc/httpboot"
	"hyzer/netsvc/tftp"
)

// wake is reboot's way to a loader that waits.
func wake(ctx context.Context, server, node netip.Addr) error {
	return bootinfo.SendOrder(ctx, server, node, bootinfo.OrderWakeup)
}

func (a *Appliance) openDHCP() error {
	c := a.cfg.DHCP
	if len(c.Interfaces)+len(c.Addresses) == 0 {
		return nil
	}
	dirs := &directories{reg: a.reg, log: a.log}
	server, err := dhcp.New(dhcp.Config{
		Interfaces: c.Interfaces, Addresses: c.Addresses, Port: c.Port, BootServerPort: c.BootServerPort,
		ReplyToSource: c.LoopbackLab, Snapshot: dirs.now, Leases: leaseStore{a.store}, Log: a.log,
	})
	if err != nil {
		return err
	}
	var addrs []string
	for _, e := range server.Endpoints() {
		on := ""
		if e.Interface != "" {
			on = " on " + e.Interface
		}
		addrs = append(addrs, e.DHCP.String()+on, e.BootServer.String()+on)
	}
	a.add("dhcp", server.Run, addrs...)
	a.explain = append(a.explain, func(s control.Subject) control.Section { return a.explainDHCP(server, s) })
	a.counts = append(a.counts, func(out map[string]int64) {
		for name, n := range server.Counts() {
			out["dhcp."+name] = int64(n)
		}
	})
	return nil
}

func (a *Appliance) openTFTP() error {
	if !a.cfg.TFTP.Listen.IsValid() {
		return nil
	}
	files, err := bootfiles.OpenDir(a.cfg.bootFileDir())
	if err != nil {
		return err
	}
	a.closers = append(a.closers, files.Close)
	a.explain = append(a.explain, func(s control.Subject) control.Section { return a.explainFiles(files, s) })
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(a.cfg.TFTP.Listen))
	if err != nil {
		return fmt.Errorf("tftp: %w", err)
	}
	server := tftp.New(tftp.Config{Files: files, Conn: conn, Log: a.log})
	a.add("tftp", server.Run, conn.LocalAddr().String())
	return nil
}

func (a *Appliance) openHTTP() error {
	if !a.cfg.HTTP.Listen.IsValid() {
		return nil
	}
	files, err := bootfiles.OpenDir(a.cfg.bootFileDir())
	if err != nil {
		return err
	}
	a.closers = append(a.closers, files.Close)
	catalog, err := a.images()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", a.cfg.HTTP.Listen.String())
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	images := &imageFiles{catalog: catalog, log: a.log}
	a.httpPort = listener.Addr().(*net.TCPAddr).AddrPort().Port()
	a.add("http", httpboot.New(httpboot.Config{Files: files, Images: images, Listener: listener, Log: a.log}).Run, listener.Addr().String())
	return nil
}

func (a *Appliance) openBootinfo() error {
	if !a.cfg.Bootinfo.Listen.IsValid() {
		return nil
	}
	server, err := bootinfo.New(bootinfo.Config{Addr: a.cfg.Bootinfo.Listen, Snapshot: a.reg.Snapshot, Reports: a.runner, Log: a.log})
	if err != nil {
		return err
	}
	a.add("bootinfo", server.Run, server.Addr().String())
	a.explain = append(a.explain, a.explainBootinfo)
	a.counts = append(a.counts, func(out map[string]int64) {
		c := server.Counters()
		out["bootinfo.requests"], out["bootinfo.replies"] = c.Requests.Load(), c.Replies.Load()
		out["bootinfo.dropped"], out["bootinfo.reports_failed"] = c.Dropped.Load(), c.ReportsFailed.Load()
		out["bootinfo.reports_late"], out["bootinfo.reports_lost"] = c.ReportsLate.Load(), c.ReportsLost.Load()
	})
	return nil
}
