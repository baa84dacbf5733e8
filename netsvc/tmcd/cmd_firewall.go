package tmcd

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"

	"hyzer/storage/registry"
)

// runFirewallInfo tells the firewall its rules, and the nodes behind it where
// it is.
func runFirewallInfo(c *call) {
	if !c.who.allocated() || c.who.expt.Firewall == nil || c.who.expt.Firewall.VLAN == 0 {
		c.str("TYPE=none\n")
		return
	}
	fw := c.who.expt.Firewall
	if c.who.nickname() != fw.Name {
		c.str("TYPE=remote FWIP=", c.firewallIP(fw), "\n")
		return
	}
	c.firewall(fw)
	if !c.v(22) {
		return
	}
	c.firewallVars()
	c.firewallRules(fw)
	if c.v(25) {
		c.firewallHosts()
	}
	if c.v(34) {
		c.servers()
	}
}

// firewallIP is 0.0.0.0 until the firewall has an address.
func (c *call) firewallIP(fw *registry.Firewall) string {
	if node := c.memberNamed(fw.Name); node != nil && node.ControlIP().IsValid() {
		return node.ControlIP().String()
	}
	return netip.IPv4Unspecified().String()
}

// memberNamed finds a node of the asker's experiment, or nil.
func (c *call) memberNamed(vname string) *registry.Node {
	for _, id := range c.snap.Members(c.who.res.Experiment) {
		if res := c.snap.Reservation(id); res != nil && res.VName == vname {
			return c.snap.Node(id)
		}
	}
	return nil
}

// firewall names its two sides. A firewall with one port has both on it, apart
// by VLANs; in a testbed within a testbed the outer side has a port of its own.
func (c *call) firewall(fw *registry.Firewall) {
	in := portMAC(c.who.phys, registry.InterfaceControl)
	out := portMAC(c.who.phys, registry.InterfaceOuterControl)
	if out == "" {
		out = in
	}
	c.str("TYPE=", fw.Type, " STYLE=", fw.Style, " IN_IF=", in, " OUT_IF=", out,
		" IN_VLAN=", strconv.Itoa(fw.VLAN), " OUT_VLAN=", strconv.Itoa(fw.OutVLAN), "\n")
	if c.v(26) && fw.Log != "" {
		c.str("LOG=", fw.Log, "\n")
	}
}

func portMAC(node *registry.Node, role string) string {
	for i := range node.Interfaces {
		if p := &node.Interfaces[i]; p.Role == role {
			return p.MAC.Hex()
		}
	}
	return ""
}

func (c *call) firewallVars() {
	vars := c.snap.Site().Firewalls.Vars
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		c.str("VAR=", name, ` VALUE="`, vars[name], "\"\n")
	}
}

// firewallRules are the experiment's before those of all firewalls of its kind.
func (c *call) firewallRules(fw *registry.Firewall) {
	for i := range fw.Rules {
		c.firewallRule(&fw.Rules[i])
	}
	defaults := c.snap.Site().Firewalls.Rules
	for i := range defaults {
		if defaults[i].Type == fw.Type && defaults[i].Style == fw.Style {
			c.firewallRule(&defaults[i].FirewallRule)
		}
	}
}

func (c *call) firewallRule(r *registry.FirewallRule) {
	c.str("RULENO=", strconv.Itoa(r.Number), ` RULE="`, r.Rule, "\"\n")
}

// firewallHosts are the machines behind the firewall, by their names in the
// experiment.
func (c *call) firewallHosts() {
	for _, id := range c.snap.Members(c.who.res.Experiment) {
		node, res := c.snap.Node(id), c.snap.Reservation(id)
		if node == nil || res == nil || node.IsVirtual() || node.ID == c.who.node.ID {
			continue
		}
		name := res.VName
		if name == "" {
			name = id
		}
		c.controlHost(name, node)
	}
}

// controlHost writes where a node is on the control network.
func (c *call) controlHost(name string, node *registry.Node) {
	for i := range node.Interfaces {
		p := &node.Interfaces[i]
		if p.Role != registry.InterfaceControl || !p.IP.IsValid() || p.MAC.IsZero() {
			continue
		}
		c.str("HOST=", name, " CNETIP=", addr(p.IP))
		if c.v(26) {
			c.str(" CNETMAC=", p.MAC.Hex())
		}
		c.str("\n")
	}
}

// servers lists the operators' machines on the control network.
func (c *call) servers() {
	for i := range c.snap.Site().Servers {
		s := &c.snap.Site().Servers[i]
		c.str("SERVER=", s.Name, " CNETIP=", addr(s.IP), " CNETMAC=", s.MAC.Hex(), "\n")
	}
}

const siteVarARPLockdown = "general/arplockdown"

// runARPInfo gives nodes their fixed ARP tables, where the site has them: the
// servers and the experiment's own machines. Control nodes get all machines,
// subbosses those that they serve. Only TLS says that the table is the site's.
func runARPInfo(c *call) {
	if c.req.Transport != TLS || !c.who.local {
		return
	}
	kind := c.snap.Site().Vars[siteVarARPLockdown]
	if kind != "static" && kind != "staticonly" {
		c.str("ARPTYPE=none\n")
		return
	}
	c.str("ARPTYPE=", kind, "\n")
	c.servers()
	if c.who.phys.Role == registry.RoleCtrlNode || c.who.res != nil && c.who.res.Role == roleSubboss {
		c.allHosts()
		return
	}
	if !c.who.allocated() {
		return
	}
	for _, id := range c.snap.Members(c.who.res.Experiment) {
		if node := c.snap.Node(id); node != nil && node.ID != c.who.node.ID {
			c.controlHost(id, node)
		}
	}
}

func (c *call) allHosts() {
	for _, node := range c.snap.Nodes() {
		served := c.who.phys.Role == registry.RoleCtrlNode
		for _, subboss := range node.Subbosses {
			served = served || subboss == c.who.node.ID
		}
		if served && !node.IsVirtual() && node.Role != registry.RoleCtrlNode {
			c.controlHost(node.ID, node)
		}
	}
}
