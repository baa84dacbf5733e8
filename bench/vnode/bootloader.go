package vnode

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"hyzer/netsvc/bootinfo"
)

const bootinfoVersion = 1

// loader is pxeboot: it asks bootinfo what to do (page bootinfo, sections 2
// and 6).
func loader(b *boot) stage {
	if b.at(StepBootinfo) {
		b.phase(PhaseBootinfo, "no answer is heard")
		return b.bootDefault("bootinfo is silent")
	}
	p, err := openPort(b.ctx, netip.AddrPortFrom(b.cfg.IP, bootinfo.ClientPort), "")
	if err != nil {
		return b.reset("bootinfo port: %v", err)
	}
	defer p.close()
	for {
		b.phase(PhaseBootinfo, "asking %v", b.lease.next)
		answer, heard, err := b.askBootinfo(p)
		if err != nil {
			return b.reset("bootinfo: %v", err)
		}
		if !heard {
			return b.bootDefault("bootinfo is silent")
		}
		if answer.Status != bootinfo.StatusSuccess {
			return b.bootDefault("bootinfo knows no answer")
		}
		next, again := b.obey(p, answer.Answer)
		if !again {
			return next
		}
	}
}

// askBootinfo asks until the server answers. Loaders listen to their server
// and its port only.
func (b *boot) askBootinfo(p *port) (answer bootinfo.Packet, heard bool, err error) {
	server := netip.AddrPortFrom(b.lease.next, b.cfg.Server.Bootinfo)
	request := bootinfo.AppendRequest(nil, bootinfo.Request{Version: bootinfoVersion, Opcode: bootinfo.OpRequest})
	waits := slices.Repeat([]time.Duration{b.cfg.Timing.BootinfoRetry}, b.cfg.Timing.BootinfoTries)
	heard, err = p.exchange(func() []byte { return request }, server, waits, func(d []byte, from netip.AddrPort) bool {
		if from != server {
			return false
		}
		answer, err = bootinfo.DecodePacket(d)
		return err == nil && answer.Opcode == bootinfo.OpReply
	})
	return answer, heard, err
}

// obey does what an answer or an order says. again: ask once more.
func (b *boot) obey(p *port, a bootinfo.Answer) (next stage, again bool) {
	switch a.Type {
	case bootinfo.TypePart, bootinfo.TypeDiskPart:
		return b.bootDisk(int(a.Partition)), false
	case bootinfo.TypeSysID:
		return b.bootType(a.Partition), false
	case bootinfo.TypeMFS:
		return b.startMFS(a), false
	case bootinfo.TypeReboot:
		return b.reset("bootinfo says reboot"), false
	case bootinfo.TypeRestart:
		b.phase(PhaseFirmware, "bootinfo says restart")
		return netboot, false
	case bootinfo.TypeAuto:
		return nil, b.pause(b.cfg.Timing.BootinfoRetry)
	case bootinfo.TypeWait:
		return b.awaitOrder(p)
	}
	return b.dead("bootinfo answer of type %d is not for this machine", a.Type), false
}

// awaitOrder listens, and only listens, until an order comes.
func (b *boot) awaitOrder(p *port) (next stage, again bool) {
	b.phase(PhaseWait, "waiting for orders")
	sender := netip.AddrPortFrom(b.lease.next, bootinfo.OrderPort)
	for {
		d, from, err := p.receive(time.Time{})
		if err != nil {
			return b.reset("bootinfo: %v", err), false
		}
		order, err := bootinfo.DecodePacket(d)
		if from != sender || err != nil || order.Opcode != bootinfo.OpOrder || order.Status != bootinfo.StatusSuccess {
			continue
		}
		switch order.Answer.Type {
		case bootinfo.TypeWait:
			continue
		case bootinfo.TypeAuto:
			b.phase(PhaseBootinfo, "ordered to ask again")
			return nil, true
		}
		return b.obey(p, order.Answer)
	}
}

// startMFS starts a memory file system, "[host:]path".
func (b *boot) startMFS(a bootinfo.Answer) stage {
	host, path := b.lease.next, a.Path
	if name, rest, ok := strings.Cut(a.Path, ":"); ok {
		addr, err := netip.ParseAddr(name)
		if err != nil {
			return b.dead("MFS path %.80q: host is no address", a.Path)
		}
		host, path = addr, rest
	}
	b.loader = path
	if b.cfg.FetchMFS {
		if err := b.fetch(host, path); err != nil {
			return b.reset("%v", err)
		}
	}
	b.phase(PhaseMFS, "%s starts", a.Path)
	if b.cfg.IsLoader(path) {
		return diskLoader
	}
	return adminMFS
}

// bootDefault boots the disk because the net said nothing of use; without a
// system on it the firmware begins again.
func (b *boot) bootDefault(why string) stage {
	if b.ctx.Err() != nil {
		return nil
	}
	b.phase(PhaseBoot, "%s: booting the disk", why)
	if err := b.bootable(0); err != nil {
		return b.reset("%v", err)
	}
	return system
}

// bootDisk boots a partition, 0 for the active one.
func (b *boot) bootDisk(slot int) stage {
	b.phase(PhaseBoot, "booting partition %d", slot)
	if err := b.bootable(slot); err != nil {
		return b.dead("partition %d: %v", slot, err)
	}
	return system
}

// bootType boots the partition of a BIOS type.
func (b *boot) bootType(kind int32) stage {
	d, err := b.openDisk()
	if err != nil {
		return b.dead("%v", err)
	}
	slot, err := d.ofType(kind)
	d.Close()
	if err != nil {
		return b.dead("%v", err)
	}
	return b.bootDisk(slot)
}
