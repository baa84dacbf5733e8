package main

import (
	"net/netip"

	"hyzer/multicast/doctor"
)

// doctorVerb examines this machine, which must be the appliance, and how a
// node hears it.
func doctorVerb(e *env, args []string) error {
	what, args := splitVerb(args)
	if what != "multicast" {
		return subverb(e, "doctor", what, args, "multicast")
	}
	fs, address := e.flags("doctor multicast")
	iface := fs.String("interface", "", "`address` that images are sent from (multicast: interface)")
	node := fs.String("node", "", "`address` of a node that runs hyzer-node doctor multicast")
	group := fs.String("group", "", "`address:port` to probe, as given to the node")
	queries := fs.Duration("queries", 0, "how `long` to listen for IGMP queries; 130s to be sure, needs root")
	rest, err := e.parse(fs, address, args)
	if err != nil {
		return err
	}
	c := doctor.Config{QueryTime: *queries}
	if c.Iface, err = netip.ParseAddr(*iface); err != nil || len(rest) > 0 || !c.Iface.Is4() {
		return badUsage("want --interface with this machine's IPv4 address")
	}
	if *node != "" {
		if c.Node, err = netip.ParseAddr(*node); err != nil {
			return badUsage("%v", err)
		}
	}
	if *group != "" {
		if c.Group, err = netip.ParseAddrPort(*group); err != nil {
			return badUsage("%v", err)
		}
	}
	facts, err := doctor.Examine(e.ctx, c)
	if err != nil {
		return err
	}
	return e.findings(doctor.Diagnose(facts), c.Node.IsValid())
}

func (e *env) findings(found []doctor.Finding, probed bool) error {
	status := exitOK
	for _, f := range found {
		if !f.Warning {
			status = exitFailed
		}
	}
	if e.json {
		return ended(e.printJSON(found), status)
	}
	for _, f := range found {
		e.printf("%s\n    %s\n", f.What, f.Do)
	}
	switch {
	case len(found) > 0:
	case probed:
		e.printf("multicast reaches the node\n")
	default:
		e.printf("nothing is wrong here; name a --node to see whether multicast reaches it\n")
	}
	return ended(nil, status)
}
