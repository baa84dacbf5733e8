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
	"hyzer/netsvc/lifecycle/bootplan"
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
	for _, e := range server.Endpoints() {
		a.add("dhcp", e.DHCP.String()+e.Interface, nil)
		a.services[len(a.services)-1].run = idle
	}
	a.services = append(a.services, service{"dhcp", "", server.Run})
	a.explain = append(a.explain, func(s control.Subject) control.Section {
		if s.MAC.IsZero() {
			return control.Section{Service: "dhcp", Text: "the hardware address is not known"}
		}
		q := dhcp.Question{Client: dhcp.EthernetAddr(s.MAC), Arch: dhcp.ArchBIOS, Class: "PXEClient", Local: a.reg.Snapshot().Site().BossIP}
		return control.Section{Service: "dhcp", Text: server.Explain(q)}
	})
	a.counts = append(a.counts, func(out map[string]int64) {
		for name, n := range server.Counts() {
			out["dhcp."+name] = int64(n)
		}
	})
	return nil
}

// idle runs nothing: a second address of a service that has its run elsewhere.
func idle(ctx context.Context) error {
	<-ctx.Done()
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
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(a.cfg.TFTP.Listen))
	if err != nil {
		return fmt.Errorf("tftp: %w", err)
	}
	server := tftp.New(tftp.Config{Files: files, Conn: conn, Log: a.log})
	a.add("tftp", a.cfg.TFTP.Listen.String(), server.Run)
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
	listener, err := net.Listen("tcp", a.cfg.HTTP.Listen.String())
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	a.add("http", a.cfg.HTTP.Listen.String(), httpboot.New(httpboot.Config{Files: files, Listener: listener, Log: a.log}).Run)
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
	a.add("bootinfo", server.Addr().String(), server.Run)
	a.explain = append(a.explain, func(s control.Subject) control.Section {
		plan := bootplan.Resolve(a.reg.Snapshot(), s.Node, bootplan.Asker{LoaderVersion: 1})
		return control.Section{Service: "bootinfo", Text: planText(plan)}
	})
	a.counts = append(a.counts, func(out map[string]int64) {
		c := server.Counters()
		out["bootinfo.requests"], out["bootinfo.replies"] = c.Requests.Load(), c.Replies.Load()
		out["bootinfo.dropped"], out["bootinfo.reports_failed"] = c.Dropped.Load(), c.ReportsFailed.Load()
	})
	return nil
}

// planText is a plan for people.
func planText(p bootplan.Plan) string {
	text := "answer: " + p.Kind.String()
	switch p.Kind {
	case bootplan.Part:
		text += fmt.Sprintf(" %d", p.Partition)
	case bootplan.DiskPart:
		text += fmt.Sprintf(" disk %#x partition %d", p.Disk, p.Partition)
	case bootplan.MFS, bootplan.Multiboot:
		text += " " + p.Path
		if p.Host != "" {
			text += " from " + p.Host
		}
	}
	if p.Cmdline != "" {
		text += fmt.Sprintf(", command line %q", p.Cmdline)
	}
	return text + "\nbecause " + p.Reason
}

func (a *Appliance) openControl() error {
	listener, err := listenControl(a.cfg.Control)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	server := control.New(control.Config{
		Listener: listener, Registry: a.reg, Runner: a.runner, Loads: a.loads, BootLogs: a.bootLogs(),
		Explain: a.explainAll, Progress: a.progress.all, Status: a.status, ImageDir: a.cfg.imageDir(), Log: a.log,
	})
	a.add("control", a.cfg.Control, server.Run)
	return nil
}

func (a *Appliance) explainAll(s control.Subject) []control.Section {
	sections := []control.Section{{Service: "registry", Text: a.nodeText(s)}}
	for _, explain := range a.explain {
		sections = append(sections, explain(s))
	}
	return sections
}

// nodeText says what the registry knows of a subject.
func (a *Appliance) nodeText(s control.Subject) string {
	if s.Node == nil {
		return "no node has this address; it is treated as a new machine"
	}
	snapshot := a.reg.Snapshot()
	state := snapshot.State(s.Node.ID)
	text := fmt.Sprintf("node %s of type %s, %s at %s", s.Node.ID, s.Node.Type, s.MAC, s.IP)
	if held := snapshot.Reservation(s.Node.ID); held != nil {
		text += "\nreserved to " + held.Experiment
	} else {
		text += "\nfree"
	}
	if state.State != "" {
		text += fmt.Sprintf("\nstate %s/%s since %s", state.Mode, state.State, state.Since.Format("2006-01-02 15:04:05"))
	}
	if load := snapshot.Load(s.Node.ID); load != nil {
		text += fmt.Sprintf("\nhas to load %d images (%s)", len(load.Images), load.Job)
	}
	return text
}
