package dhcp

import (
	"container/heap"
	"fmt"
	"net/netip"
	"time"
)

// Instant is the time since the server started, on the monotonic clock. Leases
// are counted in it: the wall clock may step.
type Instant = time.Duration

// Terms of what the table holds.
const (
	// offerHold is how long an offered address is kept for the client.
	offerHold = 90 * time.Second
	// offerStealAfter is the age from which an offer that was not requested
	// may go to another client when the pool has nothing else. UEFI collects
	// offers for 4 s and may retry once.
	offerStealAfter = 10 * time.Second
	// quarantineTerm keeps a declined pool address from everybody.
	quarantineTerm = 24 * time.Hour
	// declinedShareMax is the fraction of a pool that may be in quarantine:
	// one in so many. Beyond it a DECLINE only ends the client's lease, so that
	// nobody can decline a pool away.
	declinedShareMax = 4
	// termGraceShare lengthens a lease on our side by one part in so many,
	// for clients whose clock runs slow.
	termGraceShare = 256
	// leasesMax bounds the table.
	leasesMax = 1 << 18
	// stealProbesMax bounds the search for an old offer to take over.
	stealProbesMax = 256
	// poolRetryAfter is how long an exhausted pool is not searched again,
	// unless something becomes free.
	poolRetryAfter = time.Second
)

type bindingState uint8

const (
	bindingFree     bindingState = iota // remembered: who had it last
	bindingOffered                      // held, tentative, not durable
	bindingLeased                       // promised, or about to be
	bindingDeclined                     // quarantined
)

// binding is the present state of one address.
type binding struct {
	ip      uint32
	subnet  uint32 // network address, of the client index
	client  HardwareAddr
	state   bindingState
	durable bool // the store holds this client with at least this term
	node    string
	term    time.Duration
	since   Instant // of the offer or the first bind
	until   Instant // end of hold, lease or quarantine
	// generation is a number of the table's own, new whenever the address
	// changes hands, so that an ACK whose write took long is not sent for a
	// lease that has ended since.
	generation uint64
	heapIndex  int
	heapUntil  Instant // until when it was put in order; never after until

	// What the client said in DISCOVER: some ROMs leave it out in REQUEST.
	xid   uint32
	class Class
}

// live reports whether nobody else may have the address.
func (b *binding) live(now Instant) bool {
	return b != nil && b.state != bindingFree && now < b.until
}

// heldBy reports whether the client has a live offer or lease.
func (b *binding) heldBy(client HardwareAddr, now Instant) bool {
	return b.live(now) && b.state != bindingDeclined && b.client == client
}

type clientKey struct {
	client HardwareAddr
	subnet uint32
}

// Table is the in-memory state of all addresses: who holds what until when. It
// is not safe for concurrent use; the server keeps it under one lock, so that
// deciding and applying a decision is one step.
type Table struct {
	byIP     map[uint32]*binding
	byClient map[clientKey]uint32 // newest address of a client in a subnet
	queue    bindingHeap
	subnets  *Subnets
	pools    []pool // by Subnet.index

	generations uint64 // given out so far; none is used twice
}

// NewTable makes a table from stored leases. Every lease that is bound or in
// quarantine gets its whole term again from now: how long the server was down
// is not known for certain.
func NewTable(leases []Lease, now Instant) (*Table, error) {
	if len(leases) > leasesMax {
		return nil, fmt.Errorf("dhcp: %d stored leases, at most %d; remove free ones", len(leases), leasesMax)
	}
	t := &Table{byIP: map[uint32]*binding{}, byClient: map[clientKey]uint32{}}
	for _, l := range leases {
		if !l.IP.Is4() || l.State > LeaseDeclined {
			return nil, fmt.Errorf("dhcp: stored lease of %v, state %d: not a lease record", l.IP, l.State)
		}
		t.restore(l, now)
	}
	return t, nil
}

func (t *Table) restore(l Lease, now Instant) {
	b := t.create(number(l.IP))
	b.client, b.node, b.durable = l.Client, l.Node, l.State == LeaseBound
	b.term = min(max(l.Term, leaseMin), leaseMax)
	b.since = now
	switch l.State {
	case LeaseBound:
		t.setState(b, bindingLeased, now+graced(b.term))
	case LeaseDeclined:
		t.setState(b, bindingDeclined, now+b.term)
	}
}

func graced(term time.Duration) time.Duration { return term + term/termGraceShare }

// Configure makes the table follow a new set of subnets. Bindings stay: a
// promise holds whatever the configuration says now.
func (t *Table) Configure(subnets *Subnets) {
	if t.subnets == subnets || subnets == nil {
		return
	}
	t.subnets = subnets
	t.pools = make([]pool, len(subnets.list))
	for i := range subnets.list {
		t.pools[i] = newPool(&subnets.list[i])
	}
	clear(t.byClient)
	for _, b := range t.byIP {
		if b.state == bindingFree && t.poolOf(b.ip) == nil {
			t.remove(b)
			continue
		}
		t.know(b, true)
		t.mark(b, b.state, 1)
		t.indexClient(b)
	}
}

// indexClient makes b the client's address in its subnet, unless it has a
// better one already.
func (t *Table) indexClient(b *binding) {
	b.subnet = 0
	if s := t.subnets.Find(addrOf(b.ip)); s != nil {
		b.subnet = number(s.Prefix.Addr())
	}
	if b.state == bindingDeclined {
		return
	}
	key := clientKey{b.client, b.subnet}
	if other, ok := t.byClient[key]; !ok || b.betterThan(t.byIP[other]) {
		t.byClient[key] = b.ip
	}
}

// betterThan orders the addresses of one client: a lease before a memory, a
// newer one before an older, and the lower address to decide.
func (b *binding) betterThan(o *binding) bool {
	switch {
	case b.state != o.state:
		return b.state > o.state
	case b.since != o.since:
		return b.since > o.since
	}
	return b.ip <= o.ip
}

func (t *Table) find(ip netip.Addr) *binding {
	if !ip.Is4() {
		return nil
	}
	return t.byIP[number(ip)]
}

// ofClient returns the newest address of a client in a subnet, live or
// remembered.
func (t *Table) ofClient(client HardwareAddr, s *Subnet) *binding {
	ip, ok := t.byClient[clientKey{client, number(s.Prefix.Addr())}]
	if !ok {
		return nil
	}
	return t.byIP[ip]
}

func (t *Table) create(ip uint32) *binding {
	b := t.byIP[ip]
	if b == nil {
		b = &binding{ip: ip, heapIndex: -1}
		t.byIP[ip] = b
		t.know(b, true)
	}
	return b
}

func (t *Table) remove(b *binding) {
	t.unindex(b)
	if b.heapIndex >= 0 {
		heap.Remove(&t.queue, b.heapIndex)
	}
	t.know(b, false)
	delete(t.byIP, b.ip)
}

func (t *Table) unindex(b *binding) {
	key := clientKey{b.client, b.subnet}
	if t.byClient[key] == b.ip {
		delete(t.byClient, key)
	}
}

// setState moves a binding and keeps pool bits and the queue right.
func (t *Table) setState(b *binding, state bindingState, until Instant) {
	t.mark(b, b.state, -1)
	b.state, b.until = state, until
	t.mark(b, b.state, 1)
	if state == bindingFree {
		return
	}
	switch {
	case b.heapIndex < 0:
		b.heapUntil = until
		heap.Push(&t.queue, b)
	case until < b.heapUntil:
		b.heapUntil = until
		heap.Fix(&t.queue, b.heapIndex)
	}
}

// Advance ends what is over at now and appends to ended the records to store
// for it. The store may be told late: until then it only promises too much.
func (t *Table) Advance(now Instant, ended []Lease) []Lease {
	for len(t.queue) > 0 && t.queue[0].heapUntil <= now {
		b := t.queue[0]
		if b.state != bindingFree && b.until > now {
			b.heapUntil = b.until
			heap.Fix(&t.queue, 0)
			continue
		}
		heap.Pop(&t.queue)
		if b.state == bindingLeased || b.state == bindingDeclined {
			ended = append(ended, b.record(LeaseFree))
		}
		t.free(b)
	}
	return ended
}

// free ends a binding. A pool address remembers its client; any other is
// forgotten, its reservation remembers.
func (t *Table) free(b *binding) {
	wasDeclined := b.state == bindingDeclined
	t.setState(b, bindingFree, 0)
	b.durable = false
	t.renumber(b)
	if wasDeclined || t.poolOf(b.ip) == nil {
		t.remove(b)
	}
}

func (t *Table) renumber(b *binding) {
	t.generations++
	b.generation = t.generations
}

func (b *binding) record(state LeaseState) Lease {
	return Lease{IP: addrOf(b.ip), Client: b.client, State: state, Node: b.node, Term: b.term}
}

// Len is the number of addresses the table knows.
func (t *Table) Len() int { return len(t.byIP) }
