package mfs

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"hyzer/multicast/client"
	"hyzer/netsvc/bootinfo"
	"hyzer/netsvc/diskloader"
)

// memoryFS asks the server what to do, and does it.
func (m *machine) memoryFS(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var lease sync.WaitGroup
	defer lease.Wait()
	defer cancel()
	if err := m.connect(ctx); err != nil {
		return err
	}
	lease.Go(func() { m.keepLease(ctx) })
	asker := bootinfo.Client{Server: netip.AddrPortFrom(m.net.lease.Next, bootinfo.ServerPort), Local: m.net.lease.IP}
	answer, err := asker.Ask(ctx) // waits for as long as the server wishes
	if err != nil {
		return err
	}
	if answer.Type == bootinfo.TypeReboot {
		m.log.Info("bootinfo says reboot")
		m.reboot()
		return errStillRunning
	}
	m.openLog(ctx)
	defer m.dropLog()
	if answer.Type == bootinfo.TypeMFS {
		return m.loadDisk(ctx, answer)
	}
	m.log.Info("booting the disk", "disk", answer.Disk, "partition", answer.Partition)
	return m.giveUp(ctx, m.bootPartition(ctx, answer))
}

// loadDisk is the disk loader. Any other memory file system is not this one
// (page bootinfo, section 6: the path tells them apart).
func (m *machine) loadDisk(ctx context.Context, answer bootinfo.Answer) error {
	if !strings.Contains(answer.Path, "frisbee") {
		return m.giveUp(ctx, fmt.Errorf("bootinfo names the memory file system %q; this one is the disk loader", answer.Path))
	}
	m.log.Info("disk loader", "path", answer.Path)
	disks := openDisks{}
	defer disks.close()
	if err := diskloader.Run(ctx, m.loader(disks.open)); err != nil {
		return m.giveUp(ctx, err)
	}
	m.log.Info("loaded; waiting to be rebooted", "at_most", rebootWait)
	if err := pause(ctx, rebootWait); err != nil {
		return err
	}
	return fmt.Errorf("nobody rebooted the node for %v", rebootWait)
}

// loader is the disk loader of this machine.
func (m *machine) loader(open func(disk string) (diskloader.Disk, error)) diskloader.Config {
	return diskloader.Config{
		Ask: m.askAsLoader, Done: stateLoaded, OpenDisk: open, Server: m.net.lease.Next, Local: m.net.lease.IP, Log: m.log,
		OnProgress: func(p client.Progress) { m.log.Info("progress", "chunks", p.ChunksWritten, "of", p.Chunks) },
	}
}

// stateLoaded has the server reboot the node.
const stateLoaded = "RELOADDONEV2"

// askAsLoader is ask for the disk loader, whose log is stored before the node is
// rebooted.
func (m *machine) askAsLoader(ctx context.Context, command string) (string, error) {
	if command == "state "+stateLoaded {
		m.logBefore(ctx, stateLoaded)
	}
	return m.ask(ctx, command)
}

// giveUp reports a failure and leaves the machine for somebody to look at,
// until the server or its own patience reboots it.
func (m *machine) giveUp(ctx context.Context, cause error) error {
	if err := m.failed(ctx, cause); err != nil {
		m.log.Error("the failure is not reported", "error", err)
	}
	if err := pause(ctx, rebootWait); err != nil {
		return err
	}
	return cause
}
