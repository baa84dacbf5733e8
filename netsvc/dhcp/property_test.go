package dhcp

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a server's table, its store, and a model of what clients believe.
// Only the model knows the true time; the server's clock starts at zero with
// every restart, whatever the wall clock says.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	site    *testSite
	table   *Table
	store   map[netip.Addr]Lease
	queue   []queued // decided, not yet stored: lost in a crash
	trueNow time.Duration
	started time.Duration
	clients []*modelClient
	log     []string
	broken  string // what the model found wrong first
}

type queued struct {
	applied Applied
	client  *modelClient // who gets the reply, nil for none
	ack     *Packet
	asked   time.Duration
}

type modelClient struct {
	mac   string
	node  string
	ip    netip.Addr // believed held until
	until time.Duration
	offer netip.Addr
}

const worldSite = `subnet 10.50.0.0/24 serve lease=2m pool=10.50.0.100-10.50.0.111 pool-lease=1m
node n0 52:54:00:00:00:00 10.50.0.10
node n1 52:54:00:00:00:01 10.50.0.11
node n2 52:54:00:00:00:02 10.50.0.105`

// Another site with the reservations moved: addresses change hands.
const worldSiteMoved = `subnet 10.50.0.0/24 serve lease=1m pool=10.50.0.100-10.50.0.111 pool-lease=3m authoritative
node n0 52:54:00:00:00:00 10.50.0.11
node n1 52:54:00:00:00:01 10.50.0.10
node n3 52:54:00:00:00:03 10.50.0.108
node renamed 52:54:00:00:00:02 10.50.0.105`

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), store: map[netip.Addr]Lease{}}
	w.useSite(worldSite)
	for i := range 20 {
		w.clients = append(w.clients, &modelClient{mac: fmt.Sprintf("52:54:00:00:00:%02x", i), node: fmt.Sprint("c", i)})
	}
	w.restart()
	return w
}

func (w *world) useSite(text string) {
	site, err := parseSite(strings.Split(text, "\n"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.site = site
}

func (w *world) now() Instant { return w.trueNow - w.started }

// restart is a crash: offers and what was not stored are gone.
func (w *world) restart() {
	leases := slices.SortedFunc(maps.Values(w.store), func(a, b Lease) int { return a.IP.Compare(b.IP) })
	w.queue = nil
	w.started = w.trueNow
	var err error
	if w.table, err = NewTable(leases, 0); err != nil {
		w.t.Fatal(err)
	}
	w.table.Configure(w.site.subnets)
}

// commit stores what is queued; a failing one stores some of it, says no, and
// sends nothing.
func (w *world) commit(fails bool) {
	for _, q := range w.queue {
		if fails && w.rng.IntN(2) == 0 {
			continue
		}
		w.store[q.applied.Lease.IP] = q.applied.Lease
	}
	for _, q := range w.queue {
		if fails || q.client == nil || !w.table.committed(q.applied.ticket) {
			continue
		}
		w.deliver(q.client, q.ack, q.asked)
	}
	w.queue = nil
}

// deliver hands an ACK to the client. It counts from when it asked, and its
// clock may run slow by 0.3 %.
func (w *world) deliver(c *modelClient, ack *Packet, asked time.Duration) {
	if w.rng.IntN(10) == 0 {
		return // lost
	}
	term, _ := ack.Option(OptLeaseTime)
	seconds := time.Duration(uint32(term[0])<<24|uint32(term[1])<<16|uint32(term[2])<<8|uint32(term[3])) * time.Second
	c.ip, c.until = ack.YIAddr(), asked+seconds+seconds*3/1000
	w.checkUnique(c)
}

func (w *world) checkUnique(c *modelClient) {
	for _, o := range w.clients {
		if o != c && o.ip == c.ip && o.until > w.trueNow && w.broken == "" {
			recent := w.log[max(0, len(w.log)-40):]
			w.broken = fmt.Sprintf("%s\nat %s %s and %s both hold %s", strings.Join(recent, "\n"), w.trueNow, o.mac, c.mac, c.ip)
		}
	}
}

func (w *world) send(c *modelClient, kind MessageType, words string) {
	data := mustBuild(w.t, kind, "mac="+c.mac+" xid=1 "+words)
	p := mustParse(w.t, data)
	in := Ingress{Local: netip.MustParseAddr("10.50.0.1")}
	d := Decide(nil, p, in, w.site, w.table, w.now())
	applied := w.table.Apply(d.Change, w.now())
	w.log = append(w.log, fmt.Sprintf("%s %s %s %s: %s %s %s", w.trueNow, c.mac, kind, words, d.Type, d.Reason, d.Change.IP))
	var reply *Packet
	if d.Type != 0 {
		reply = mustParse(w.t, d.Reply)
	}
	switch {
	case applied.Write:
		q := queued{applied: applied, asked: w.trueNow}
		if d.Type == Ack {
			q.client, q.ack = c, reply
		}
		w.queue = append(w.queue, q)
	case d.Type == Offer:
		c.offer = reply.YIAddr()
	case d.Type == Ack:
		w.deliver(c, reply, w.trueNow)
	case d.Type == Nak && reply != nil:
		c.ip, c.until, c.offer = netip.Addr{}, 0, netip.Addr{}
	}
}

// step does one thing that can happen.
func (w *world) step() {
	c := w.clients[w.rng.IntN(len(w.clients))]
	holds := c.ip.IsValid() && c.until > w.trueNow
	switch n := w.rng.IntN(100); {
	case n < 30:
		w.send(c, Discover, "")
	case n < 55 && c.offer.IsValid():
		w.send(c, Request, "54=10.50.0.1 50="+c.offer.String())
	case n < 70 && holds:
		w.send(c, Request, "ciaddr="+c.ip.String())
	case n < 75 && c.ip.IsValid():
		w.send(c, Request, "50="+c.ip.String())
	case n < 77:
		w.send(c, Request, fmt.Sprintf("54=10.50.0.1 50=10.50.0.%d", 95+w.rng.IntN(20)))
	case n < 80 && holds:
		ip := c.ip
		c.ip, c.until = netip.Addr{}, 0
		w.send(c, Release, "54=10.50.0.1 ciaddr="+ip.String())
	case n < 82 && holds:
		ip := c.ip
		c.ip, c.until = netip.Addr{}, 0
		w.send(c, Decline, "54=10.50.0.1 50="+ip.String())
	case n < 90:
		w.commit(w.rng.IntN(8) == 0)
	case n < 98:
		w.pass(time.Duration(w.rng.IntN(20000)) * time.Millisecond)
	case n < 99:
		w.useSite([]string{worldSite, worldSiteMoved}[w.rng.IntN(2)])
		w.table.Configure(w.site.subnets)
	default:
		w.log = append(w.log, "restart")
		w.restart()
	}
}

func (w *world) pass(d time.Duration) {
	w.trueNow += d
	for _, l := range w.table.Advance(w.now(), nil) {
		w.queue = append(w.queue, queued{applied: Applied{Lease: l, Write: true}})
	}
	w.checkTable()
}

// checkTable compares what the table keeps twice.
func (w *world) checkTable() {
	p := &w.table.pools[0]
	var declined uint32
	for bit := range p.size {
		b := w.table.byIP[p.first+bit]
		used := p.used[bit/64]&(1<<(bit%64)) != 0
		known := p.known[bit/64]&(1<<(bit%64)) != 0
		if known != (b != nil) || used != (b != nil && b.state != bindingFree) {
			w.t.Fatalf("%s: pool bits used %v known %v, binding %+v", addrOf(p.first+bit), used, known, b)
		}
		if b != nil && b.state == bindingDeclined {
			declined++
		}
	}
	if declined != p.declined || declined > p.size/declinedShareMax {
		w.t.Fatalf("%d declined, counted %d", declined, p.declined)
	}
	for key, ip := range w.table.byClient {
		if b := w.table.byIP[ip]; b == nil || b.client != key.client {
			w.t.Fatalf("index of %v points at %+v", key, b)
		}
	}
	for i, b := range w.table.queue {
		if b.heapIndex != i || b.heapUntil > b.until && b.state != bindingFree {
			w.t.Fatalf("heap entry %d: %+v", i, b)
		}
	}
}

// No two clients hold one address while either lease lives: through random
// messages, lost replies, writes that fail half-way, reservations that move,
// and crashes, at which the server learns nothing of the time that passed.
func TestAddressesStayUnique(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		w := newWorld(t, seed)
		for range 1500 {
			w.step()
		}
		w.checkTable()
		if w.broken != "" {
			t.Fatalf("seed %d: %s", seed, w.broken)
		}
	}
}

// The model is able to fail: a store that forgets is found out.
func TestModelSeesDoubleLeases(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := newWorld(t, seed)
		for range 1500 {
			clear(w.store)
			w.step()
		}
		if w.broken != "" {
			return
		}
	}
	t.Error("addresses stayed unique without a store: the model sees nothing")
}
