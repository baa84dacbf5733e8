package emulab

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"hyzer/storage/registry"
)

func (m *mapper) typeRecords() {
	m.types = map[string]bool{}
	attrs := byColumn(m.t.rows["node_type_attributes"], "type")
	for _, row := range m.t.rows["node_types"] {
		name, ok := m.named("node_types", row, "type")
		if !ok {
			continue
		}
		m.types[name] = true
		t := registry.NodeType{
			Name: name, Class: row.get("class"), Virtual: row.bool("isvirtnode"), Remote: row.bool("isremotenode"),
			Jailed: row.bool("isjailed"), Dynamic: row.bool("isdynamic"), Subnode: row.bool("issubnode"),
		}
		for _, a := range attrs[name] {
			m.typeAttribute(&t, a)
		}
		m.out.Types = append(m.out.Types, t)
	}
	for name, rows := range attrs {
		for _, row := range rows {
			if !m.types[name] {
				m.drop("node_type_attributes", row, "no type %q", name)
			}
		}
	}
}

// typeAttribute keeps the attribute as it is, and resolves those with a field
// of their own.
func (m *mapper) typeAttribute(t *registry.NodeType, row *record) {
	key := row.get("attrkey")
	if t.Attributes == nil {
		t.Attributes = map[string]string{}
	}
	t.Attributes[key] = row.get("attrvalue")
	switch key {
	case "imageable":
		t.Imageable = row.bool("attrvalue")
	case "default_osid":
		t.DefaultOS = m.osRef("node_type_attributes", row, "attrvalue", "")
	case "diskloadmfs_osid":
		t.LoaderOS = m.osRef("node_type_attributes", row, "attrvalue", "")
	case "adminmfs_osid":
		t.AdminOS = m.osRef("node_type_attributes", row, "attrvalue", "")
	}
}

func (m *mapper) nodeRecords() {
	m.nodes = map[string]*registry.Node{}
	for _, row := range m.t.rows["nodes"] {
		id, ok := m.named("nodes", row, "node_id")
		if !ok {
			continue
		}
		if !m.types[row.get("type")] {
			m.drop("nodes", row, "%s: no type %q", id, row.get("type"))
			continue
		}
		n := &registry.Node{
			ID: id, UUID: row.get("uuid"), Type: row.get("type"), Role: row.get("role"), JailIP: row.addr("jailip"),
			Jailed: row.bool("jailflag"), SSHDPort: row.int("sshdport"),
		}
		if host := row.get("phys_nodeid"); host != id {
			n.Host = host
		}
		m.nodes[id] = n
	}
	m.ports()
	m.virtualPorts()
	m.nodeDetails()
	m.shapingDetails()
	m.hardware()
	uuids := map[string]bool{}
	for _, row := range m.t.rows["nodes"] {
		n := m.nodes[row.get("node_id")]
		if n == nil {
			continue
		}
		if n.Host != "" && (m.nodes[n.Host] == nil || m.nodes[n.Host].Host != "") {
			m.drop("nodes", row, "%s: host %q does not exist or is virtual", n.ID, n.Host)
			delete(m.nodes, n.ID)
			continue
		}
		if n.UUID != "" && uuids[n.UUID] {
			m.note("nodes", row, "%s: UUID %s is used twice", n.ID, n.UUID)
			n.UUID = ""
		}
		uuids[n.UUID] = true
		m.out.Nodes = append(m.out.Nodes, *n)
	}
}

// ports adds interfaces. Emulab gives some placeholder MACs to several ports;
// the first keeps it.
func (m *mapper) ports() {
	macs, addrs := map[registry.MAC]bool{}, map[netip.Addr]bool{}
	settings := map[string][]*record{}
	for _, row := range m.t.rows["interface_settings"] {
		key := row.get("node_id") + " " + row.get("iface")
		settings[key] = append(settings[key], row)
	}
	autoneg := map[string]bool{} // by interface type
	for _, row := range m.t.rows["interface_capabilities"] {
		if row.get("capkey") == "autonegotiate" {
			autoneg[row.get("type")] = row.get("capval") == "force"
		}
	}
	for _, row := range m.t.rows["interfaces"] {
		n := m.nodes[row.get("node_id")]
		if n == nil {
			m.drop("interfaces", row, "no node %q", row.get("node_id"))
			continue
		}
		p := registry.Interface{
			Name: cmp.Or(row.get("iface"), "card"+row.get("card")+"port"+row.get("port")), Role: row.get("role"),
			MAC: row.mac("mac"), IP: row.addr("ip"), Mask: row.addr("mask"), Type: row.get("interface_type"),
			SpeedMbps: row.int("current_speed"), Duplex: row.get("duplex"), Card: row.int("card"), Port: row.int("port"),
			RouteTab: row.int("rtabid"), Autoneg: autoneg[row.get("interface_type")],
		}
		if slices.ContainsFunc(n.Interfaces, func(o registry.Interface) bool { return o.Name == p.Name }) {
			m.drop("interfaces", row, "%s has two interfaces %s", n.ID, p.Name)
			continue
		}
		if !p.MAC.IsZero() && macs[p.MAC] {
			m.note("interfaces", row, "%s %s: MAC %s is used twice", n.ID, p.Name, p.MAC)
			p.MAC = registry.MAC{}
		}
		macs[p.MAC] = true
		m.controlPort(row, n, &p, addrs)
		for _, s := range settings[n.ID+" "+p.Name] {
			if p.Settings == nil {
				p.Settings = map[string]string{}
			}
			p.Settings[s.get("capkey")] = s.get("capval")
		}
		n.Interfaces = append(n.Interfaces, p)
	}
}

// controlPort keeps control addresses unique, and one such port per node.
func (m *mapper) controlPort(row *record, n *registry.Node, p *registry.Interface, addrs map[netip.Addr]bool) {
	switch p.Role {
	case registry.InterfaceControl:
		if slices.ContainsFunc(n.Interfaces, func(o registry.Interface) bool { return o.Role == p.Role }) {
			m.note("interfaces", row, "%s %s: a second control interface", n.ID, p.Name)
			p.Role = "other"
			return
		}
	case registry.InterfaceOuterControl:
	default:
		return
	}
	if p.IP.IsValid() && addrs[p.IP] {
		m.note("interfaces", row, "%s %s: address %s is used twice", n.ID, p.Name, p.IP)
		p.IP, p.Mask = netip.Addr{}, netip.Addr{}
		return
	}
	addrs[p.IP] = true
}

func (m *mapper) virtualPorts() {
	expts := map[string]string{} // index -> "pid/eid"
	for _, row := range m.t.rows["experiments"] {
		expts[row.get("idx")] = row.get("pid") + "/" + row.get("eid")
	}
	for _, row := range m.t.rows["vinterfaces"] {
		n := m.nodes[row.get("node_id")]
		if n == nil {
			m.drop("vinterfaces", row, "no node %q", row.get("node_id"))
			continue
		}
		n.Virtual = append(n.Virtual, registry.VirtInterface{
			Unit: row.int("unit"), Type: row.get("type"), MAC: row.mac("mac"), IP: row.addr("ip"), Mask: row.addr("mask"),
			Parent: row.get("iface"), RouteTab: row.int("rtabid"), VNode: row.get("vnode_id"),
			Experiment: expts[row.get("exptidx")], LanIndex: row.int("virtlanidx"), VLAN: row.int("vlanid"),
		})
	}
}

// nodeDetails adds what other tables say of a node.
func (m *mapper) nodeDetails() {
	m.perNode("node_attributes", func(n *registry.Node, row *record) {
		if row.get("attrkey") == attrRootPassword {
			return // it is in the runtime
		}
		if n.Attributes == nil {
			n.Attributes = map[string]string{}
		}
		n.Attributes[row.get("attrkey")] = row.get("attrvalue")
	})
	m.perNode("widearea_nodeinfo", func(n *registry.Node, row *record) { n.WideAreaKey = row.get("privkey") })
	m.perNode("subbosses", func(n *registry.Node, row *record) {
		if row.bool("disabled") {
			return
		}
		if n.Subbosses == nil {
			n.Subbosses = map[string]string{}
		}
		n.Subbosses[row.get("service")] = row.get("subboss_id")
	})
	m.perNode("outlets", func(n *registry.Node, row *record) {
		n.Power.Address = row.get("power_id")
		n.Power.Outlet = strconv.Itoa(row.int("outlet"))
	})
}

func (m *mapper) perNode(table string, fn func(*registry.Node, *record)) {
	for _, row := range m.t.rows[table] {
		if n := m.nodes[row.get("node_id")]; n != nil {
			fn(n, row)
		} else {
			m.drop(table, row, "no node %q", row.get("node_id"))
		}
	}
}
