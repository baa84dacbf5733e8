package registry

import (
	"fmt"
	"net/netip"
	"strings"
)

// Firewall stands between an experiment's nodes and the control network. One
// of the experiment's own nodes, the one named like it, is the firewall
// (virt_firewalls, firewalls).
type Firewall struct {
	Name  string         `json:"name"`         // vname of the node that is the firewall
	Type  string         `json:"type"`         // ipfw, iptables ...
	Style string         `json:"style"`        // open, closed, basic ...
	Log   string         `json:"log,omitzero"` // what to log: accept, reject ...
	Rules []FirewallRule `json:"rules,omitzero"`
	// VLAN is the tag of the protected side of the control network. 0: the
	// firewall is asked for but not set up, and nodes are told of none.
	VLAN int `json:"vlan,omitzero"`
	// OutVLAN is the tag of the other side; 0: untagged.
	OutVLAN int `json:"out_vlan,omitzero"`
}

// FirewallRule is one rule in the words of the firewall's type.
type FirewallRule struct {
	Number int    `json:"number"`
	Rule   string `json:"rule"`
}

// DefaultRule is a rule of every firewall of a type and style
// (default_firewall_rules).
type DefaultRule struct {
	Type  string `json:"type"`
	Style string `json:"style"`
	FirewallRule
}

// FirewallDefaults hold for all firewalls of the site.
type FirewallDefaults struct {
	Rules []DefaultRule `json:"rules,omitzero"`
	// Vars are what rules may refer to, such as EMULAB_GWIP
	// (default_firewall_vars).
	Vars map[string]string `json:"vars,omitzero"`
}

// Server is a machine of the operators on the control network: boss, file
// server, gateway. Nodes with fixed ARP tables must know it.
type Server struct {
	Name string     `json:"name"`
	IP   netip.Addr `json:"ip"`
	MAC  MAC        `json:"mac"`
}

// VLANMax is the highest tag of a VLAN.
const VLANMax = 4094

func (f *Firewall) check() error {
	if f == nil {
		return nil
	}
	if err := checkName(f.Name); err != nil {
		return fmt.Errorf("firewall: %w", err)
	}
	if f.Type == "" || f.Style == "" {
		return invalid("firewall %s has no type or style", f.Name)
	}
	for _, tag := range []int{f.VLAN, f.OutVLAN} {
		if tag < 0 || tag > VLANMax {
			return invalid("firewall %s: VLAN %d", f.Name, tag)
		}
	}
	for i := range f.Rules {
		if err := f.Rules[i].check(); err != nil {
			return err
		}
	}
	return nil
}

// check keeps a rule from becoming two lines of a reply.
func (r *FirewallRule) check() error {
	if strings.ContainsAny(r.Rule, "\n\x00") {
		return invalid("rule %d is of more than one line", r.Number)
	}
	return nil
}

func (d *FirewallDefaults) check() error {
	for i := range d.Rules {
		if err := d.Rules[i].FirewallRule.check(); err != nil {
			return err
		}
	}
	return nil
}
