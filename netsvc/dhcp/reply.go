package dhcp

import (
	"net/netip"
	"strings"
	"time"
)

// bootNameBytesMax is the longest name the file field holds, NUL aside.
const bootNameBytesMax = fileBytes - 1

// begin starts a reply with what every one carries: 53 first, since some old
// clients want it there, and 54.
func (t *turn) begin(kind MessageType) replyWriter {
	w := newReplyWriter(t.dst, t.p, replyLimit(t.p, t.in.MTUBytes))
	w.byteOption(OptMessageType, uint8(kind))
	w.addrOption(OptServerID, t.server)
	return w
}

// lease makes an OFFER or ACK of an address.
func (t *turn) lease(kind MessageType, ip netip.Addr, reason Reason) Decision {
	term := t.term()
	w := t.begin(kind)
	w.setYIAddr(ip)
	if kind == Ack {
		w.setCIAddr(t.p.CIAddr())
	}
	w.secondsOption(OptLeaseTime, seconds(term))
	w.echo(t.p, OptClientID)
	t.writeBoot(&w, t.asker())
	t1, t2 := timers(t.client, term)
	w.secondsOption(OptT1, seconds(t1))
	w.secondsOption(OptT2, seconds(t2))
	t.writeParameters(&w)
	return t.finish(&w, kind, reason, t.destination(kind, ip))
}

// nak makes a NAK with the reason as its text (RFC 2131 §4.3.2). A relay is
// told to broadcast it.
func (t *turn) nak(reason Reason) Decision {
	w := t.begin(Nak)
	w.textOption(OptMessage, reason.String(), false)
	w.echo(t.p, OptClientID)
	if !t.p.GIAddr().IsUnspecified() {
		w.setBroadcast()
	}
	return t.finish(&w, Nak, reason, t.destination(Nak, netip.Addr{}))
}

// timers are T1 and T2 (RFC 2131 §4.4.5), spread over a tenth and a twentieth
// of the term, so that nodes booted together do not renew together. They are
// always the same for one client.
func timers(client HardwareAddr, term time.Duration) (t1, t2 time.Duration) {
	spread := time.Duration(client.spread() & 0xffff)
	t1 = term/2 - term/10*spread>>16
	t2 = term/8*7 - term/20*spread>>16
	return t1, t2
}

func seconds(d time.Duration) uint32 { return uint32(d / time.Second) }

// asker describes the sender. In a REQUEST that leaves out the vendor class
// (Raspberry Pi) it is what the DISCOVER of the same transaction said.
func (t *turn) asker() Asker {
	a := AskerOf(t.p)
	if t.kind != Request || a.VendorClass != nil {
		return a
	}
	b := t.table.ofClient(t.client, t.subnet)
	if b.heldBy(t.client, t.now) && b.xid == t.p.XID() && (b.class.PXE || b.class.HTTP) {
		a.Arch, a.PXE, a.HTTP, a.IPXE = b.class.Arch, b.class.PXE, b.class.HTTP, b.class.IPXE
	}
	return a
}

// writeBoot asks what the client loads and tells it in its own way. It reports
// whether there is anything.
func (t *turn) writeBoot(w *replyWriter, a Asker) bool {
	t.class = a.class()
	if a.PXE {
		w.echo(t.p, OptClientUUID)
	}
	file, ok := t.dir.Boot(t.res.Node, a)
	if !ok || a.HTTP && !strings.Contains(file.Name, "://") {
		return false // an HTTPClient answer without a URL makes EDK2 drop the offer
	}
	if !file.NextServer.Is4() {
		file.NextServer = t.ownAddr()
	}
	t.writeClass(w, a, file)
	t.writeFile(w, a, file)
	return true
}

// writeClass answers option 60 in kind. Others than PXEClient and HTTPClient
// never get 60 or 43: they would read them as their own vendor's.
func (t *turn) writeClass(w *replyWriter, a Asker, file BootFile) {
	switch {
	case a.HTTP:
		w.textOption(OptVendorClass, classHTTP, false)
		return
	case !a.PXE:
		return
	}
	w.textOption(OptVendorClass, classPXE, false)
	var room [3 + 6 + 5 + pxeMenuBytesMax + 6 + 1]byte
	if item, ok := bootItem(t.p); ok && t.in.BootServer {
		list := append(room[:0], pxeBootItem, uint8(len(item)))
		w.option(OptVendorSpecific, append(append(list, item...), pxeEnd))
	} else if !t.binl(a) {
		w.option(OptVendorSpecific, appendPXEOptions(room[:0], file.Menu, file.Bootinfo))
	}
	if a.IPXE && !a.Proxy {
		w.option(OptIPXE, []byte{optionIPXEProxy, 1, 1})
	}
}

// binl reports whether option 43 is left out so that the firmware asks port
// 4011: UEFI until 2017 throws the first proxy offer away that has it.
func (t *turn) binl(a Asker) bool {
	return a.Proxy && !t.in.BootServer && !a.IPXE && a.Arch != ArchBIOS && a.Arch != ArchUnknown
}

// writeFile names server and file twice: in the header, which BIOS ROMs read,
// and in options 66 and 67 when asked for, NUL-terminated because old ROMs copy
// 67 without its length and run into the END option.
func (t *turn) writeFile(w *replyWriter, a Asker, file BootFile) {
	w.setSIAddr(file.NextServer)
	var room [16]byte
	server := string(file.NextServer.AppendTo(room[:0]))
	w.setText(snameOffset, snameBytes, server)
	fits := w.setText(fileOffset, fileBytes, file.Name)
	if a.HTTP || !fits || t.asks(OptBootFileName) {
		w.textOption(OptBootFileName, file.Name, true)
	}
	if t.asks(OptTFTPServerName) {
		w.textOption(OptTFTPServerName, server, true)
	}
	if t.asks(OptRootPath) {
		w.textOption(OptRootPath, file.RootPath, false)
	}
}

// asks reports whether option 55 lists a code.
func (t *turn) asks(code uint8) bool {
	list, _ := t.p.Option(OptParameterList)
	for _, c := range list {
		if c == code {
			return true
		}
	}
	return false
}

// writeParameters writes what option 55 asks for in its order, then what
// every client needs.
func (t *turn) writeParameters(w *replyWriter) {
	list, asked := t.p.Option(OptParameterList)
	if !asked {
		list = []byte{OptSubnetMask, OptRouter, OptDNS, OptHostName, OptDomainName, OptBroadcast, OptNTP}
	}
	for _, code := range list {
		t.writeParameter(w, code)
	}
	t.writeParameter(w, OptSubnetMask)
	t.writeParameter(w, OptRouter)
}

func (t *turn) writeParameter(w *replyWriter, code uint8) {
	switch code {
	case OptSubnetMask:
		w.addrOption(code, t.subnet.mask())
	case OptBroadcast:
		w.addrOption(code, t.subnet.broadcast())
	case OptRouter:
		w.addrOption(code, t.subnet.Routers...)
	case OptDNS:
		w.addrOption(code, t.nameServers()...)
	case OptNTP:
		w.addrOption(code, t.subnet.NTP...)
	case OptDomainName:
		w.textOption(code, t.subnet.Domain, false)
	case OptHostName:
		w.textOption(code, t.hostname(), false)
	}
}

func (t *turn) nameServers() []netip.Addr {
	if len(t.res.DNS) > 0 {
		return t.res.DNS
	}
	return t.subnet.DNS
}

func (t *turn) hostname() string {
	name := t.res.Hostname
	if name == "" {
		name = t.res.Node
	}
	return name[:min(len(name), textOptionMax)]
}
