package emulab

import "hyzer/storage/registry"

// firewallRecords adds firewalls to experiments, and to the site what all
// firewalls have in common.
func (m *mapper) firewallRecords() {
	m.eachExperiment("virt_firewalls", func(e *registry.Experiment, row *record) {
		e.Firewall = &registry.Firewall{Name: row.get("fwname"), Type: row.get("type"), Style: row.get("style"), Log: row.get("log")}
	})
	m.eachExperiment("firewalls", func(e *registry.Experiment, row *record) {
		if e.Firewall == nil || e.Firewall.Name != row.get("fwname") {
			m.drop("firewalls", row, "%s has no firewall %q", e.Key(), row.get("fwname"))
			return
		}
		e.Firewall.VLAN = row.int("vlan")
	})
	m.eachExperiment("firewall_rules", func(e *registry.Experiment, row *record) {
		if e.Firewall == nil || e.Firewall.Name != row.get("fwname") {
			m.drop("firewall_rules", row, "%s has no firewall %q", e.Key(), row.get("fwname"))
			return
		}
		e.Firewall.Rules = append(e.Firewall.Rules, registry.FirewallRule{Number: row.int("ruleno"), Rule: row.get("rule")})
	})
	defaults := &m.out.Site.Firewalls
	for _, row := range m.t.rows["default_firewall_rules"] {
		if row.has("enabled") && !row.bool("enabled") {
			m.dropped["default_firewall_rules"]++
			continue
		}
		defaults.Rules = append(defaults.Rules, registry.DefaultRule{Type: row.get("type"), Style: row.get("style"),
			FirewallRule: registry.FirewallRule{Number: row.int("ruleno"), Rule: row.get("rule")}})
	}
	for _, row := range m.t.rows["default_firewall_vars"] {
		if defaults.Vars == nil {
			defaults.Vars = map[string]string{}
		}
		defaults.Vars[row.get("name")] = row.get("value")
	}
}

// serverRecords lists the operators' machines, which Emulab keeps as nodes.
func (m *mapper) serverRecords() {
	for i := range m.out.Nodes {
		n := &m.out.Nodes[i]
		if n.Role != registry.RoleCtrlNode {
			continue
		}
		for _, p := range n.Interfaces {
			if p.Role == registry.InterfaceControl && p.IP.IsValid() {
				m.out.Site.Servers = append(m.out.Site.Servers, registry.Server{Name: n.ID, IP: p.IP, MAC: p.MAC})
			}
		}
	}
}
