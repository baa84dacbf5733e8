package emulab

import (
	"maps"
	"slices"
	"strings"

	"hyzer/storage/registry"
)

// firewallRecords adds firewalls to experiments, and to the site what all
// firewalls have in common.
func (m *mapper) firewallRecords() {
	m.eachExperiment("virt_firewalls", func(e *registry.Experiment, row *record) {
		name, ok := m.named("virt_firewalls", row, "fwname")
		switch {
		case !ok:
		case row.get("type") == "" || row.get("style") == "":
			m.drop("virt_firewalls", row, "%s has no type or style", name)
		default:
			e.Firewall = &registry.Firewall{Name: name, Type: row.get("type"), Style: row.get("style"), Log: row.get("log")}
		}
	})
	m.eachExperiment("firewalls", func(e *registry.Experiment, row *record) {
		if e.Firewall == nil || e.Firewall.Name != row.get("fwname") {
			m.drop("firewalls", row, "%s has no firewall %q", e.Key(), row.get("fwname"))
			return
		}
		if tag := row.int("vlan"); tag > 0 && tag <= registry.VLANMax {
			e.Firewall.VLAN = tag
		} else {
			m.note("firewalls", row, "%s: no VLAN has the number %d", e.Key(), tag)
		}
	})
	m.eachExperiment("firewall_rules", func(e *registry.Experiment, row *record) {
		if e.Firewall == nil || e.Firewall.Name != row.get("fwname") {
			m.drop("firewall_rules", row, "%s has no firewall %q", e.Key(), row.get("fwname"))
			return
		}
		e.Firewall.Rules = append(e.Firewall.Rules, firewallRule(row))
	})
	defaults := &m.out.Site.Firewalls
	if len(m.t.rows["default_firewall_rules"]) > 0 {
		defaults.Rules = nil // the dump's take the place of the site's
	}
	defaults.Vars = maps.Clone(defaults.Vars)
	for _, row := range m.t.rows["default_firewall_rules"] {
		if row.has("enabled") && !row.bool("enabled") {
			m.dropped["default_firewall_rules"]++
			continue
		}
		defaults.Rules = append(defaults.Rules, registry.DefaultRule{Type: row.get("type"), Style: row.get("style"),
			FirewallRule: firewallRule(row)})
	}
	for _, row := range m.t.rows["default_firewall_vars"] {
		if defaults.Vars == nil {
			defaults.Vars = map[string]string{}
		}
		defaults.Vars[row.get("name")] = row.get("value")
	}
}

// firewallRule is a rule on one line: the replies that carry it have lines.
func firewallRule(row *record) registry.FirewallRule {
	return registry.FirewallRule{Number: row.int("ruleno"), Rule: oneLine(row.get("rule"))}
}

// oneLine makes control characters spaces.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
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
				others := slices.DeleteFunc(slices.Clone(m.out.Site.Servers), func(s registry.Server) bool { return s.Name == n.ID })
				m.out.Site.Servers = append(others, registry.Server{Name: n.ID, IP: p.IP, MAC: p.MAC})
			}
		}
	}
}
