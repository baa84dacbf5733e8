package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestStaleDiscover(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	for age, want := range map[time.Duration]bool{
		0: false, 4 * time.Second: false, 5 * time.Second: true,
		-time.Hour: false, time.Hour: false, // steps of the clock
	} {
		if got := isStale(now.Add(-age), now); got != want {
			t.Errorf("age %s: %v", age, got)
		}
	}
	if isStale(time.Time{}, now) {
		t.Error("a datagram without time of arrival is stale")
	}
}

// A write that hangs is given up, and the next one gets a fresh context.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	var w watchdog
	first := w.begin(0)
	w.check(5*time.Second, 5*time.Second)
	if first.Err() != nil {
		t.Error("cancelled in time")
	}
	w.check(6*time.Second, 5*time.Second)
	if !errors.Is(context.Cause(first), errCommitTimeout) {
		t.Errorf("cause %v", context.Cause(first))
	}
	w.end()
	second := w.begin(time.Minute)
	w.end()
	w.check(time.Hour, 5*time.Second)
	if second.Err() != nil {
		t.Error("cancelled while idle")
	}
	w.close()
}

// Timers keep their order, and spread clients over the range they may use.
func TestTimers(t *testing.T) {
	t.Parallel()
	least, most := time.Hour, time.Duration(0)
	for i := range 1000 {
		client := EthernetAddr([6]byte{0x52, 0x54, 0, 0, byte(i >> 8), byte(i)})
		t1, t2 := timers(client, time.Hour)
		if t1 >= t2 || t2 >= time.Hour || t1 > 30*time.Minute || t1 < 24*time.Minute || t2 < 49*time.Minute {
			t.Fatalf("%v: T1 %s T2 %s", client, t1, t2)
		}
		again, _ := timers(client, time.Hour)
		if again != t1 {
			t.Fatalf("%v: %s, then %s", client, t1, again)
		}
		least, most = min(least, t1), max(most, t1)
	}
	if most-least < 5*time.Minute {
		t.Errorf("1000 clients renew within %s", most-least)
	}
}

func TestNewSubnetsRefuses(t *testing.T) {
	t.Parallel()
	for want, line := range map[string]string{
		"10.0.0.0/31: bad setting":      "subnet 10.0.0.0/31 serve",
		"host addresses":                "subnet 10.0.0.0/24 serve pool=10.0.0.0-10.0.0.9",
		"10.0.0.9 to 10.0.0.1":          "subnet 10.0.0.0/24 serve pool=10.0.0.9-10.0.0.1",
		"is not inside":                 "subnet 10.0.0.0/24 serve pool=10.0.0.1-10.0.1.1",
		"pool over 65536":               "subnet 10.0.0.0/8 serve pool=10.0.0.1-10.1.0.1",
		"is no IPv4 address":            "subnet 10.0.0.0/24 serve routers=fe80::1",
		"domain longer than":            "subnet 10.0.0.0/24 serve domain=" + strings.Repeat("x", 254),
		"overlap":                       "subnet 10.0.0.0/24 serve\nsubnet 10.0.0.128/25 serve",
		"named by subnets":              "subnet 10.0.0.0/24 serve relays=1.1.1.1\nsubnet 10.0.1.0/24 serve relays=1.1.1.1",
		"subnet fe80::/64: bad setting": "subnet fe80::/64 serve",
	} {
		if _, err := parseSite(strings.Split(line, "\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

func TestSubnetsFind(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 50 {
		lines = append(lines, fmt.Sprintf("subnet 10.%d.0.0/20 serve", 2*(49-i)))
	}
	site, err := parseSite(lines)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		for ip, inside := range map[string]bool{"10.%d.0.0": true, "10.%d.15.255": true, "10.%d.16.0": false} {
			s := site.subnets.Find(netip.MustParseAddr(fmt.Sprintf(ip, i)))
			if want := inside && i%2 == 0; (s != nil) != want {
				t.Errorf(ip+": %v", i, s)
			}
		}
	}
	for _, ip := range []string{"9.255.255.255", "255.255.255.255", "::1"} {
		if s := site.subnets.Find(netip.MustParseAddr(ip)); s != nil {
			t.Errorf("%s: %v", ip, s.Prefix)
		}
	}
}

// Every address of a pool is handed out, once, reserved ones left out.
func TestPoolIsUsedUp(t *testing.T) {
	t.Parallel()
	site, err := parseSite([]string{
		"subnet 10.0.0.0/16 serve pool=10.0.1.3-10.0.2.200",
		"node a 52:54:00:00:00:01 10.0.1.3", "node b 52:54:00:00:00:02 10.0.2.0",
	})
	if err != nil {
		t.Fatal(err)
	}
	table, err := NewTable(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	table.Configure(site.subnets)
	in := Ingress{Local: netip.MustParseAddr("10.0.0.1")}
	given := map[netip.Addr]bool{}
	for i := 0; ; i++ {
		p := mustParse(t, mustBuild(t, Discover, fmt.Sprintf("mac=52:54:01:00:%02x:%02x", i>>8, i&0xff)))
		d := Decide(nil, p, in, site, table, 0)
		if d.Type == 0 {
			break
		}
		if ip := d.Change.IP; given[ip] || site.byIP[ip].Node != "" {
			t.Fatalf("%s given twice, or reserved", ip)
		}
		given[d.Change.IP] = true
		table.Apply(d.Change, 0)
	}
	if want := 253 + 201 - 2; len(given) != want {
		t.Errorf("%d addresses given, want %d", len(given), want)
	}
}

// An ACK whose lease ended while it was being stored is not sent, even if the
// address has been leased again, and nobody's durability is taken for another's.
func TestTicketOfEndedLease(t *testing.T) {
	t.Parallel()
	table, err := NewTable(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ip := netip.MustParseAddr("10.0.0.5")
	first, second := EthernetAddr([6]byte{2, 0, 0, 0, 0, 1}), EthernetAddr([6]byte{2, 0, 0, 0, 0, 2})
	bind := func(client HardwareAddr) Applied {
		return table.Apply(Change{Kind: ChangeBind, IP: ip, Client: client, Node: "pc1", Term: time.Hour, Commit: true}, 0)
	}
	one := bind(first)
	table.Apply(Change{Kind: ChangeRelease, IP: ip, Client: first}, 0)
	two := bind(second)
	if table.committed(one.ticket) {
		t.Error("the ACK of a lease that was given back is sent")
	}
	if table.find(ip).durable {
		t.Error("the second lease counts as stored with the first")
	}
	if !table.committed(two.ticket) || !table.find(ip).durable {
		t.Error("the ACK of the second lease is not sent")
	}
}

// A shorter term does not shorten what was promised before: not in memory, and
// not in the record.
func TestTermNeverShrinks(t *testing.T) {
	t.Parallel()
	table, err := NewTable(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ip, client := netip.MustParseAddr("10.0.0.5"), EthernetAddr([6]byte{2, 0, 0, 0, 0, 1})
	for _, c := range []Change{
		{Kind: ChangeBind, IP: ip, Client: client, Node: "pc1", Term: time.Hour, Commit: true},
		{Kind: ChangeBind, IP: ip, Client: client, Node: "renamed", Term: time.Minute, Commit: true},
	} {
		if a := table.Apply(c, 0); a.Lease.Term != time.Hour {
			t.Errorf("stored for %s", a.Lease.Term)
		}
	}
	if !table.find(ip).heldBy(client, 59*time.Minute) {
		t.Error("the lease ends before the first promise")
	}
}

// A binding that Configure drops from its subnet keeps its promise.
func TestConfigureKeepsLeases(t *testing.T) {
	t.Parallel()
	client := EthernetAddr([6]byte{0x52, 0x54, 1, 0, 0, 1})
	lease := Lease{IP: netip.MustParseAddr("10.0.0.50"), Client: client, State: LeaseBound, Term: time.Hour}
	table, err := NewTable([]Lease{lease}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"subnet 10.0.0.0/24 serve pool=10.0.0.40-10.0.0.60",
		"subnet 10.0.0.0/24 serve pool=10.0.0.10-10.0.0.20",
		"subnet 10.9.0.0/24 serve",
		"subnet 10.0.0.0/24 serve pool=10.0.0.50-10.0.0.51",
	} {
		site, err := parseSite([]string{line})
		if err != nil {
			t.Fatal(err)
		}
		table.Configure(site.subnets)
	}
	if b := table.find(lease.IP); !b.heldBy(client, 59*time.Minute) {
		t.Fatalf("binding %+v", b)
	}
	ended := table.Advance(61*time.Minute, nil)
	if len(ended) != 1 || ended[0].State != LeaseFree || table.Len() != 1 {
		t.Errorf("ended %+v, %d left", ended, table.Len())
	}
}
