package doctor

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// What a session needs (spec frisbee A1).
const (
	SessionTTL      = 5
	SessionBytes    = 1080                  // of UDP payload, mode 2
	sessionMTUBytes = SessionBytes + 20 + 8 // of IP
)

// Link is how an interface is set up.
type Link struct {
	Name      string
	MTU       int
	Up        bool
	Multicast bool
	// Snooping and Querier are of the bridge that it is, or is a port of.
	Bridge            string
	Snooping, Querier bool
}

// Result is what became of a probe.
type Result struct {
	Err    error   // of the send
	Answer *Answer // nil: none came
}

// Facts are what was found out.
type Facts struct {
	Iface netip.Addr // as configured
	Local *Link      // nil: no interface has that address
	Route string     // interface by which the node is reached, "" unknown
	Node  netip.Addr // not valid: only this side was looked at
	Group netip.AddrPort

	Unicast, UnicastFull          Result
	Multicast, MulticastFull, Far Result // Far: with a high TTL
	// QueryWaited says that IGMP queries were listened for long enough to hear
	// one, QueryHeard that one came.
	QueryWaited, QueryHeard bool
}

// Finding is what is wrong and what to do about it.
type Finding struct {
	What    string `json:"what"`
	Do      string `json:"do"`
	Warning bool   `json:"warning"` // images arrive all the same, for now
}

// Diagnose says what is wrong, the nearest cause first; nothing if all is well.
func Diagnose(f Facts) []Finding {
	if found := diagnoseLocal(f); len(found) > 0 {
		return found
	}
	if f.Node.IsValid() {
		if found := diagnosePath(f); len(found) > 0 {
			return found
		}
	}
	return diagnoseQuerier(f)
}

func diagnoseLocal(f Facts) (found []Finding) {
	l := f.Local
	if l == nil {
		return []Finding{{What: fmt.Sprintf("no interface here has the address %v", f.Iface), Do: "set multicast: interface to this machine's address on the nodes' network (ip -4 address)"}}
	}
	if !l.Up {
		found = append(found, Finding{What: fmt.Sprintf("interface %s is down", l.Name), Do: "ip link set dev " + l.Name + " up"})
	}
	if !l.Multicast {
		found = append(found, Finding{What: fmt.Sprintf("multicast is off on interface %s", l.Name), Do: "ip link set dev " + l.Name + " multicast on"})
	}
	if l.MTU < sessionMTUBytes {
		found = append(found, smallMTU("this machine's interface "+l.Name, l.Name, l.MTU))
	}
	if f.Route != "" && f.Route != l.Name {
		found = append(found, Finding{What: fmt.Sprintf("node %v is reached through %s, but images are sent through %s (%v)", f.Node, f.Route, l.Name, f.Iface),
			Do: "wrong interface: set multicast: interface to the address of " + f.Route})
	}
	return found
}

func smallMTU(what, link string, mtu int) Finding {
	return Finding{What: fmt.Sprintf("the MTU of %s is %d bytes; blocks need %d (%d and UDP and IP headers)", what, mtu, sessionMTUBytes, SessionBytes),
		Do: "ip link set dev " + link + " mtu 1500, also on bridges and tunnels between"}
}

// diagnosePath looks at what the node answered.
func diagnosePath(f Facts) []Finding {
	one := func(what, do string) []Finding { return []Finding{{What: what, Do: do}} }
	switch u := f.Unicast; {
	case errors.Is(u.Err, unix.ENETUNREACH), errors.Is(u.Err, unix.EHOSTUNREACH):
		return one(fmt.Sprintf("no route to node %v: %v", f.Node, u.Err), "add the route, or correct the node's address (hyzer node show)")
	case u.Err != nil && !errors.Is(u.Err, unix.ECONNREFUSED):
		return one(fmt.Sprintf("cannot send to node %v: %v", f.Node, u.Err), "a firewall on this machine forbids it: let UDP out (nft list ruleset)")
	case u.Answer == nil:
		return one(fmt.Sprintf("node %v answers nothing, not even what is sent to it alone", f.Node),
			fmt.Sprintf("run hyzer-node doctor multicast on it; if it runs, a firewall drops UDP port %d", f.Group.Port()))
	}
	a := f.Unicast.Answer
	switch {
	case a.MTU > 0 && a.MTU < sessionMTUBytes:
		return []Finding{smallMTU(fmt.Sprintf("node %v's interface %s", f.Node, a.Joined), a.Joined, a.MTU)}
	case f.UnicastFull.Answer == nil:
		return one(fmt.Sprintf("datagrams of %d bytes do not reach node %v, short ones do", SessionBytes, f.Node),
			fmt.Sprintf("something between has an MTU below %d: tracepath %v", sessionMTUBytes, f.Node))
	case f.Multicast.Err != nil:
		return one(fmt.Sprintf("cannot send to group %v: %v", f.Group.Addr(), f.Multicast.Err), "a firewall on this machine forbids it, or there is no route to 224.0.0.0/4 (nft list ruleset; ip route)")
	case f.Multicast.Answer == nil:
		return []Finding{unheard(f, a)}
	case f.MulticastFull.Answer == nil:
		return one(fmt.Sprintf("multicast datagrams of %d bytes do not reach node %v, short ones do", SessionBytes, f.Node),
			fmt.Sprintf("something between has an MTU below %d for multicast, which nobody is told of", sessionMTUBytes))
	}
	return nil
}

// unheard is why a node that answers otherwise does not hear the group.
func unheard(f Facts, a *Answer) Finding {
	what := fmt.Sprintf("node %v does not hear group %v", f.Node, f.Group.Addr())
	switch {
	case a.Iface != "" && a.Joined != a.Iface:
		return Finding{What: fmt.Sprintf("%s: it joined on %s, but this machine's packets come in on %s", what, a.Joined, a.Iface),
			Do: "wrong interface: give frisbee the address of " + a.Iface + " as -i"}
	case f.Far.Answer != nil:
		return Finding{What: fmt.Sprintf("%s with TTL %d, but with a higher one: it is %d hops away", what, SessionTTL, farTTL-f.Far.Answer.TTL),
			Do: "TTL too low: put a mirror (frisbee: parent) on the node's network"}
	case f.Local.Snooping && !f.Local.Querier:
		return Finding{What: fmt.Sprintf("%s: bridge %s snoops, and nobody asks for memberships", what, f.Local.Bridge), Do: querierAdvice(f.Local)}
	case f.QueryWaited && !f.QueryHeard:
		return Finding{What: what + ": nobody on the network asks for memberships, so that switches which snoop forget them", Do: querierAdvice(f.Local)}
	}
	return Finding{What: what + ", and answers what is sent to it alone",
		Do: "a firewall on the node or between drops the group or IGMP (nft list ruleset), or a switch snoops without a querier: " + querierAdvice(f.Local)}
}

func querierAdvice(l *Link) string {
	advice := "set multicast: querier_secs: 60, or turn the switch's IGMP querier on"
	if l.Bridge != "" {
		advice += "; on this bridge: ip link set dev " + l.Bridge + " type bridge mcast_querier 1"
	}
	return advice
}

// diagnoseQuerier warns of what will end a session later.
func diagnoseQuerier(f Facts) []Finding {
	unasked := f.Local.Snooping && !f.Local.Querier && !f.QueryHeard
	if !unasked && !(f.QueryWaited && !f.QueryHeard && !f.Local.Querier) {
		return nil
	}
	what := "nobody on the network asks for memberships"
	if unasked {
		what = "bridge " + f.Local.Bridge + " snoops, and has no querier"
	}
	return []Finding{{What: what + ": images arrive until a switch forgets who is in the group, some minutes after a join", Do: querierAdvice(f.Local), Warning: true}}
}
