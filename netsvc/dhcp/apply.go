package dhcp

import "net/netip"

// ChangeKind says what a decision does to the table.
type ChangeKind uint8

const (
	// ChangeNone leaves the table as it is.
	ChangeNone ChangeKind = iota
	// ChangeOffer holds the address for the client, in memory only.
	ChangeOffer
	// ChangeBind leases the address. If Change.Commit is set, the lease must
	// be durable before the reply leaves.
	ChangeBind
	// ChangeRelease ends the client's lease, ChangeWithdraw its offer.
	ChangeRelease
	ChangeWithdraw
	// ChangeDecline ends the client's lease and puts the address in
	// quarantine if the pool can bear it.
	ChangeDecline
)

// Change is the effect of a decision on the table.
type Change struct {
	Kind   ChangeKind
	IP     netip.Addr
	Client HardwareAddr
	Node   string
	Term   Instant
	Commit bool // the store does not hold this promise yet
	xid    uint32
	class  Class
}

// Applied is what Apply did: the record to store, if any, and a ticket that
// says later whether the binding still stands.
type Applied struct {
	Lease  Lease
	Write  bool
	ticket ticket
}

type ticket struct {
	ip         uint32
	generation uint64
	term       Instant
}

// full reports whether the table refuses new addresses.
func (t *Table) full() bool { return len(t.byIP) >= leasesMax }

// Apply carries out the change of a decision made on this very state.
func (t *Table) Apply(c Change, now Instant) Applied {
	switch c.Kind {
	case ChangeOffer:
		t.applyOffer(c, now)
	case ChangeBind:
		return t.applyBind(c, now)
	case ChangeRelease, ChangeWithdraw, ChangeDecline:
		return t.applyEnd(c, now)
	}
	return Applied{}
}

func (t *Table) applyOffer(c Change, now Instant) {
	if b := t.find(c.IP); b.live(now) && b.state == bindingLeased && b.client != c.Client {
		return // another card of the node; its lease stands until a REQUEST
	}
	b := t.take(c, now)
	b.xid, b.class = c.xid, c.class
	if b.state == bindingLeased {
		return // the client asks again for what it has
	}
	b.since, b.node = now, c.Node
	t.setState(b, bindingOffered, now+offerHold)
}

func (t *Table) applyBind(c Change, now Instant) Applied {
	b := t.take(c, now)
	if b.state != bindingLeased {
		b.since, b.term = now, 0
	}
	if c.Commit {
		// The longest term still promised: the new ACK may get lost.
		b.durable, b.term, b.node = false, max(c.Term, b.term), c.Node
	}
	t.setState(b, bindingLeased, max(now+graced(c.Term), b.stillPromised()))
	return Applied{Lease: b.record(LeaseBound), Write: c.Commit, ticket: ticket{b.ip, b.generation, b.term}}
}

// stillPromised is the end of a lease that a shorter new term must not cut:
// the ACK of the new one may get lost.
func (b *binding) stillPromised() Instant {
	if b.state == bindingLeased {
		return b.until
	}
	return 0
}

// take makes the address the client's. If it was another's, that one's claim
// ends here.
func (t *Table) take(c Change, now Instant) *binding {
	b := t.create(number(c.IP))
	if b.client == c.Client && b.live(now) {
		return b
	}
	if b.client != c.Client {
		t.unindex(b)
	}
	t.setState(b, bindingFree, 0)
	b.client = c.Client
	b.durable, b.xid, b.class = false, 0, Class{}
	t.renumber(b)
	t.reindex(b)
	return b
}

// reindex makes b the client's newest address.
func (t *Table) reindex(b *binding) {
	b.subnet = 0
	if s := t.subnets.Find(addrOf(b.ip)); s != nil {
		b.subnet = number(s.Prefix.Addr())
	}
	t.byClient[clientKey{b.client, b.subnet}] = b.ip
}

func (t *Table) applyEnd(c Change, now Instant) Applied {
	b := t.find(c.IP)
	if !b.heldBy(c.Client, now) {
		return Applied{}
	}
	if c.Kind == ChangeDecline && t.mayQuarantine(b.ip) {
		return t.quarantine(b, now)
	}
	applied := Applied{Lease: b.record(LeaseFree), Write: b.state == bindingLeased}
	t.free(b)
	return applied
}

// mayQuarantine keeps the declined part of a pool bounded. An address outside
// any pool is a reservation's, and never in quarantine.
func (t *Table) mayQuarantine(ip uint32) bool {
	p := t.poolOf(ip)
	return p != nil && p.declined < max(1, p.size/declinedShareMax)
}

func (t *Table) quarantine(b *binding, now Instant) Applied {
	t.unindex(b)
	t.renumber(b)
	b.durable, b.term, b.since = false, quarantineTerm, now
	t.setState(b, bindingDeclined, now+quarantineTerm)
	return Applied{Lease: b.record(LeaseDeclined), Write: true}
}

// committed notes that the store holds the lease of a ticket, and reports
// whether the lease still stands, so that its ACK may be sent.
func (t *Table) committed(k ticket) bool {
	b := t.byIP[k.ip]
	if b == nil || b.generation != k.generation || b.state != bindingLeased {
		return false
	}
	// A longer term may have been promised since; its own write is under way.
	b.durable = b.durable || k.term >= b.term
	return true
}

// Forget ends whatever is known of an address, for an operator who knows that
// nobody uses it any more. It returns the record to store.
func (t *Table) Forget(ip netip.Addr) (Lease, bool) {
	b := t.find(ip)
	if b == nil {
		return Lease{}, false
	}
	record := b.record(LeaseFree)
	t.setState(b, bindingFree, 0)
	t.remove(b)
	return record, true
}
