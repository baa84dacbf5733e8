package dhcp

import "net/netip"

// Ingress says where a request came in.
type Ingress struct {
	// Local is the server's address there: option 54, unless the subnet or
	// the relay names another.
	Local netip.Addr
	// Source is the UDP source of the datagram.
	Source netip.AddrPort
	// Unicast is set if the datagram was sent to Local, not broadcast.
	Unicast bool
	// BootServer is set on the proxyDHCP port (4011).
	BootServer bool
	// MTUBytes of the interface, zero if unknown.
	MTUBytes int
	// ClientPort and RelayPort are where replies go, zero for 68 and 67.
	ClientPort, RelayPort uint16
	// ReplyToSource sends every reply to the source of a request that came
	// from a loopback address. For tests and loopback labs only, where many
	// clients share one host.
	ReplyToSource bool
}

// Decision is what the server does about one request.
type Decision struct {
	Type   MessageType // of the reply; 0 for silence
	Reason Reason
	// Reply is the buffer given to Decide with the message appended.
	Reply []byte
	Dest  Dest
	// Change must be applied to the table before the next decision. If it
	// says Commit, the reply waits until the lease is durable.
	Change Change
	Node   string // the sender's node, empty if unknown
	Client HardwareAddr
	Class  Class
}

// Class is what the sender of a message says it is, in short.
type Class struct {
	Arch Arch
	// PXE, HTTP, IPXE and UBoot say which firmware asks. An operating system
	// sets none of them.
	PXE, HTTP, IPXE, UBoot bool
}

// Firmware reports whether the machine is on its way to an operating system:
// for Emulab, PXEBOOTING and not BOOTING.
func (c Class) Firmware() bool { return c.PXE || c.HTTP || c.IPXE || c.UBoot }

// turn is one request being decided.
type turn struct {
	p      *Packet
	in     Ingress
	dir    Directory
	table  *Table
	now    Instant
	dst    []byte
	kind   MessageType
	client HardwareAddr
	subnet *Subnet
	server netip.Addr // option 54 of the reply
	res    Reservation
	known  bool // res is valid
	class  Class
}

// Decide answers one request. It is a function of its arguments: it reads the
// table and changes nothing that lasts; the caller applies Decision.Change. The
// table must have been advanced to now and configured with dir's subnets. The
// reply is appended to dst, which needs a capacity of 1472 to stay where it is.
func Decide(dst []byte, p *Packet, in Ingress, dir Directory, table *Table, now Instant) Decision {
	t := turn{p: p, in: in, dir: dir, table: table, now: now, dst: dst, class: Class{Arch: ArchUnknown}}
	if reason := t.admit(); reason != 0 {
		return t.silent(reason)
	}
	switch {
	case in.BootServer:
		return t.bootServer()
	case t.subnet.Mode == ModeProxy:
		return t.proxyOffer()
	}
	return t.serve()
}

func (t *turn) serve() Decision {
	switch t.kind {
	case Discover:
		return t.discover()
	case Request:
		return t.request()
	case Decline:
		return t.decline()
	case Release:
		return t.release()
	case Inform:
		return t.inform()
	}
	return t.silent(ReasonNotRequest)
}

func (t *turn) discover() Decision {
	ip, reason := t.choose()
	if !ip.IsValid() {
		return t.silent(reason)
	}
	if t.table.find(ip) == nil && t.table.full() {
		return t.silent(ReasonBusy)
	}
	d := t.lease(Offer, ip, reason)
	d.Change = Change{
		Kind: ChangeOffer, IP: ip, Client: t.client, Node: t.res.Node,
		xid: t.p.XID(), class: t.class,
	}
	return d
}

// term is how long the client may keep an address.
func (t *turn) term() Instant {
	if _, ok := t.fixed(); ok {
		return t.subnet.Lease
	}
	return t.subnet.PoolLease
}

// bind answers with an ACK and says whether the store must learn of it first.
func (t *turn) bind(ip netip.Addr, reason Reason) Decision {
	b := t.table.find(ip)
	if b == nil && t.table.full() {
		return t.silent(ReasonBusy)
	}
	d := t.lease(Ack, ip, reason)
	promised := b.heldBy(t.client, t.now) && b.state == bindingLeased && b.durable &&
		b.term >= t.term() && b.node == t.res.Node
	d.Change = Change{
		Kind: ChangeBind, IP: ip, Client: t.client, Node: t.res.Node,
		Term: t.term(), Commit: !promised,
	}
	return d
}

func (t *turn) decline() Decision {
	ip, ok := t.p.AddrOption(OptRequestedAddress)
	if !ok || !t.namesUs() {
		return t.silent(ReasonOtherServer)
	}
	if !t.table.find(ip).heldBy(t.client, t.now) {
		return t.silent(ReasonNotHolder)
	}
	if fixed, ok := t.fixed(); ok && fixed == ip {
		return t.silent(ReasonDeclinedReserved)
	}
	d := t.silent(ReasonDeclined)
	d.Change = Change{Kind: ChangeDecline, IP: ip, Client: t.client}
	return d
}

func (t *turn) release() Decision {
	ip := t.p.CIAddr()
	if !t.namesUs() {
		return t.silent(ReasonOtherServer)
	}
	if !t.table.find(ip).heldBy(t.client, t.now) {
		return t.silent(ReasonNotHolder)
	}
	d := t.silent(ReasonReleased)
	d.Change = Change{Kind: ChangeRelease, IP: ip, Client: t.client}
	return d
}

// namesUs reports whether option 54 is this server.
func (t *turn) namesUs() bool {
	id, ok := t.p.AddrOption(OptServerID)
	return ok && (id == t.server || id == t.ownAddr() || id == t.in.Local)
}

// inform gives parameters to a client that has its address from elsewhere
// (RFC 2131 §4.3.5). Where we give addresses to known nodes only, strangers'
// questions are another server's too.
func (t *turn) inform() Decision {
	ip := t.p.CIAddr()
	switch {
	case !t.subnet.usable(ip):
		return t.silent(ReasonWrongNetwork)
	case !t.known && !t.subnet.HasPool() && !t.subnet.Authoritative:
		return t.silent(ReasonUnknownClient)
	}
	w := t.begin(Ack)
	w.setCIAddr(ip)
	t.writeBoot(&w, AskerOf(t.p))
	t.writeParameters(&w)
	return t.finish(&w, Ack, ReasonInform, t.destination(Ack, ip))
}

func (t *turn) silent(reason Reason) Decision {
	return Decision{Reason: reason, Reply: t.dst, Node: t.res.Node, Client: t.client, Class: t.class}
}

func (t *turn) finish(w *replyWriter, kind MessageType, reason Reason, dest Dest) Decision {
	return Decision{
		Type: kind, Reason: reason, Reply: w.finish(t.p), Dest: dest,
		Node: t.res.Node, Client: t.client, Class: t.class,
	}
}
