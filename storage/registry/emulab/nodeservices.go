package emulab

import (
	"cmp"
	"strconv"
	"strings"

	"hyzer/storage/registry"
)

// eachExperiment calls fn for the rows of a table with the experiment that
// they belong to, by pid and eid, or else by exptidx.
func (m *mapper) eachExperiment(table string, fn func(*registry.Experiment, *record)) {
	for _, row := range m.t.rows[table] {
		key := row.get("pid") + "/" + row.get("eid")
		if key == "/" {
			key = m.byIndex[row.get("exptidx")]
		}
		if e := m.place[key]; e != nil {
			fn(e, row)
		} else {
			m.drop(table, row, "no experiment %q", key)
		}
	}
}

// clientServices resolves the numbers by which services are named.
func (m *mapper) clientServices() {
	services := byColumn(m.t.rows["client_services"], "idx")
	m.eachExperiment("virt_client_service_ctl", func(e *registry.Experiment, row *record) {
		service := services[row.get("service_idx")]
		if len(service) == 0 {
			m.drop("virt_client_service_ctl", row, "no client service %q", row.get("service_idx"))
			return
		}
		e.Services = append(e.Services, registry.ClientService{
			VNode: row.get("vnode"), Name: service[0].get("service"), Env: row.get("env"), Whence: row.get("whence"),
			Enabled: row.bool("enable"), Hooks: row.bool("enable_hooks"), Fatal: row.bool("fatal"), Blob: row.get("alt_blob_id"),
		})
	})
	m.eachExperiment("virt_client_service_hooks", func(e *registry.Experiment, row *record) {
		service := services[row.get("service_idx")]
		if len(service) == 0 {
			m.drop("virt_client_service_hooks", row, "no client service %q", row.get("service_idx"))
			return
		}
		e.Hooks = append(e.Hooks, registry.ServiceHook{
			VNode: row.get("vnode"), Service: service[0].get("service"), Env: row.get("env"), Whence: row.get("whence"),
			Op: row.get("hook_op"), Point: row.get("hook_point"), Fatal: row.bool("fatal"), Blob: row.get("hook_blob_id"), Argv: row.get("argv"),
		})
	})
}

// ipTunnels takes the lans of which a member has an attribute tunnel_*; other
// lans are known from virt_lans.
func (m *mapper) ipTunnels() {
	attrs := map[string][]registry.Setting{} // by lan and member
	isTunnel := map[string]bool{}            // by lan
	for _, row := range m.t.rows["lan_member_attributes"] {
		lan := row.get("lanid")
		key := lan + " " + row.get("memberid")
		attrs[key] = append(attrs[key], registry.Setting{Name: row.get("attrkey"), Value: row.get("attrvalue")})
		isTunnel[lan] = isTunnel[lan] || strings.HasPrefix(row.get("attrkey"), "tunnel_")
	}
	members := byColumn(m.t.rows["lan_members"], "lanid")
	m.eachExperiment("lans", func(e *registry.Experiment, row *record) {
		lan := row.get("lanid")
		if !isTunnel[lan] {
			m.dropped["lans"]++
			return
		}
		tunnel := registry.Tunnel{ID: row.int("lanid")}
		for _, member := range members[lan] {
			tunnel.Members = append(tunnel.Members, registry.TunnelMember{
				ID: member.int("memberid"), Node: member.get("node_id"), Attributes: attrs[lan+" "+member.get("memberid")],
			})
		}
		e.IPTunnels = append(e.IPTunnels, tunnel)
	})
	for _, table := range []string{"lan_members", "lan_member_attributes"} {
		for _, row := range m.t.rows[table] {
			if !isTunnel[row.get("lanid")] {
				m.dropped[table]++
			}
		}
	}
}

// experimentExtras adds what is not of a network.
func (m *mapper) experimentExtras() {
	m.eachExperiment("nseconfigs", func(e *registry.Experiment, row *record) {
		e.NSEConfigs = append(e.NSEConfigs, registry.NodeText{VNode: row.get("vname"), Text: row.get("nseconfig")})
	})
	files := byColumn(m.t.rows["motelogfiles"], "logfileid")
	m.eachExperiment("virt_node_motelog", func(e *registry.Experiment, row *record) {
		log := registry.MoteLog{VNode: row.get("vname"), ID: row.get("logfileid")}
		for _, file := range files[log.ID] {
			log.ClassFile, log.SpecFile = file.get("classfilepath"), file.get("specfilepath")
		}
		e.MoteLogs = append(e.MoteLogs, log)
	})
	m.eachExperiment("virt_address_allocation", func(e *registry.Experiment, row *record) {
		addr := registry.PublicAddr{IP: row.addr("address"), Mask: row.addr("mask"), Node: row.get("node_id"), Pool: row.get("pool_id")}
		if !addr.IP.IsValid() {
			m.drop("virt_address_allocation", row, "%q is no IPv4 address", row.get("address"))
			return
		}
		e.PublicAddrs = append(e.PublicAddrs, addr)
	})
	m.eachExperiment("experiment_keys", func(e *registry.Experiment, row *record) {
		if key := row.get("ssh_pubkey"); key != "" {
			e.RootKeys = append(e.RootKeys, key)
		}
		e.SSLKey = row.get("rsa_pubkey")
	})
}

// hardware adds to nodes what they are made of and what they listen on.
func (m *mapper) hardware() {
	m.perNode("bridges", func(n *registry.Node, row *record) {
		n.Bridges = append(n.Bridges, registry.Bridge{
			Index: row.int("bridx"), Port: row.get("iface"), VNode: row.get("vnode"), Link: row.get("vname"),
		})
	})
	m.perNode("traces", func(n *registry.Node, row *record) {
		n.Traces = append(n.Traces, registry.Trace{
			Index: row.int("idx"), Link: row.get("linkvname"), Ports: [2]string{row.get("iface0"), row.get("iface1")}, VNode: row.get("vnode"),
			Type: row.get("trace_type"), Expr: row.get("trace_expr"), SnapLen: row.int("trace_snaplen"),
		})
	})
	attrs := map[string]map[string]string{} // by bsidx
	for _, row := range m.t.rows["blockstore_attributes"] {
		index := row.get("bsidx")
		if attrs[index] == nil {
			attrs[index] = map[string]string{}
		}
		attrs[index][row.get("attrkey")] = row.get("attrvalue")
	}
	m.perNode("blockstores", func(n *registry.Node, row *record) {
		if row.get("role") != "element" {
			m.dropped["blockstores"]++
			return
		}
		of := attrs[row.get("bsidx")]
		disk := registry.HardDisk{Serial: cmp.Or(of["serialnum"], row.get("bs_id")), Type: row.get("type"), Size: row.get("total_size")}
		disk.SectorBytes, _ = strconv.Atoi(of["sectorsize"])
		n.HardDisks = append(n.HardDisks, disk)
	})
}
