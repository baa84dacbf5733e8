package emulab

import (
	"slices"

	"hyzer/storage/registry"
)

func (m *mapper) experimentRecords() {
	m.experiments = map[string]bool{}
	lans := byExperiment(m.t.rows["virt_lans"])
	indexes := byExperiment(m.t.rows["virt_lan_lans"])
	vlans := byExperiment(m.t.rows["vlans"])
	tags := byExperiment(m.t.rows["reserved_vlantags"])
	routes := byExperiment(m.t.rows["virt_routes"])
	for _, row := range m.t.rows["experiments"] {
		eid, ok := m.named("experiments", row, "eid")
		if !ok {
			continue
		}
		pid := row.get("pid")
		if !m.projects[pid] {
			m.drop("experiments", row, "no project %q", pid)
			continue
		}
		e := m.experiment(row, pid, eid)
		e.Lans = experimentLans(lans[e.Key()], indexes[e.Key()])
		for _, v := range vlans[e.Key()] {
			e.VLANs = append(e.VLANs, registry.VLAN{ID: v.int("id"), Lan: v.get("virtual"), Tag: v.int("tag")})
		}
		for _, v := range tags[e.Key()] { // of links that have no VLAN of their own
			if !slices.ContainsFunc(e.VLANs, func(o registry.VLAN) bool { return o.ID == v.int("lanid") && o.Tag != 0 }) {
				e.VLANs = append(e.VLANs, registry.VLAN{ID: v.int("lanid"), Lan: v.get("vname"), Tag: v.int("tag")})
			}
		}
		for _, r := range routes[e.Key()] {
			e.Routes = append(e.Routes, registry.Route{
				VNode: r.get("vname"), Src: r.addr("src"), Dest: r.addr("dst"), DestType: r.get("dst_type"),
				Mask: r.addr("dst_mask"), NextHop: r.addr("nexthop"), Cost: r.int("cost"),
			})
		}
		m.experiments[e.Key()] = true
		m.out.Experiments = append(m.out.Experiments, e)
	}
	for _, table := range []string{"virt_lans", "virt_lan_lans", "vlans", "reserved_vlantags", "virt_routes"} {
		for _, row := range m.t.rows[table] {
			if key := row.get("pid") + "/" + row.get("eid"); !m.experiments[key] {
				m.drop(table, row, "no experiment %q", key)
			}
		}
	}
}

func (m *mapper) experiment(row *record, pid, eid string) registry.Experiment {
	e := registry.Experiment{
		Project: pid, ID: eid, Index: row.int("idx"), UUID: row.get("eid_uuid"), Creator: row.get("expt_head_uid"),
		Swapper: row.get("expt_swap_uid"), State: row.get("state"), SyncServer: row.get("sync_server"),
		KeyHash: row.get("keyhash"), EventKey: row.get("eventkey"), NFSMounts: row.get("nfsmounts"), GeniFlags: row.int("geniflags"),
		ElabInElab: row.bool("elab_in_elab"), SingleNet: row.bool("elabinelab_singlenet"),
	}
	if gid := row.get("gid"); gid != pid {
		e.Group = gid
	}
	return e
}

func byExperiment(rows []*record) map[string][]*record {
	groups := map[string][]*record{}
	for _, row := range rows {
		key := row.get("pid") + "/" + row.get("eid")
		groups[key] = append(groups[key], row)
	}
	return groups
}

// experimentLans groups members by lan, both in stored order.
func experimentLans(members, indexes []*record) []registry.Lan {
	var lans []registry.Lan
	place := map[string]int{}
	for _, row := range members {
		name := row.get("vname")
		at, ok := place[name]
		if !ok {
			at = len(lans)
			place[name] = at
			lans = append(lans, registry.Lan{Name: name})
		}
		lans[at].Members = append(lans[at].Members, registry.LanMember{
			VNode: row.get("vnode"), Port: row.int("vport"), Index: row.int("vindex"), IP: row.addr("ip"), Mask: row.addr("mask"),
			Protocol: row.get("protocol"), Trace: row.get("trace_type"), Jumbo: row.bool("jumboframes"),
		})
	}
	for _, row := range indexes {
		if at, ok := place[row.get("vname")]; ok {
			lans[at].Index = row.int("idx")
		}
	}
	return lans
}

func (m *mapper) reservationRecords() {
	type place struct{ experiment, vname string }
	taken := map[place]bool{}
	for _, row := range m.t.rows["reserved"] {
		node, key := row.get("node_id"), row.get("pid")+"/"+row.get("eid")
		if m.nodes[node] == nil || !m.experiments[key] {
			m.drop("reserved", row, "no node %q or experiment %q", node, key)
			continue
		}
		r := registry.Reservation{
			Node: node, Experiment: key, VName: row.get("vname"), Role: row.get("erole"), MustWipe: row.bool("mustwipe"),
			Sharing: row.get("sharing_mode"), ExternalID: row.get("external_resource_key"), Since: row.time("rsrv_time", m.opts.Zone),
			InnerRole: row.get("inner_elab_role"), InnerBoot: row.bool("inner_elab_boot"), PlabBoot: row.bool("plab_boot"),
		}
		if r.VName != "" && taken[place{key, r.VName}] {
			m.note("reserved", row, "%s: name %s is used twice in %s", node, r.VName, key)
			r.VName = ""
		}
		taken[place{key, r.VName}] = true
		m.out.Reservations = append(m.out.Reservations, r)
	}
}

func (m *mapper) loadRecords() {
	place := map[string]int{}
	rows := slices.Clone(m.t.rows["current_reloads"])
	slices.SortStableFunc(rows, func(a, b *record) int { return a.int("idx") - b.int("idx") })
	for _, row := range rows {
		node := row.get("node_id")
		column := "image_id" // of databases since 2012
		if !row.has(column) {
			column = "imageid"
		}
		ref := m.imageRef("current_reloads", row, column, "imageid_version")
		if m.nodes[node] == nil || ref.IsZero() {
			m.drop("current_reloads", row, "no node %q or no image", node)
			continue
		}
		at, ok := place[node]
		if !ok {
			at = len(m.out.Loads)
			place[node] = at
			m.out.Loads = append(m.out.Loads, registry.NodeLoad{Node: node})
		}
		load := &m.out.Loads[at]
		load.Images = append(load.Images, registry.LoadImage{Image: ref, MustWipe: row.int("mustwipe"), Prepare: row.bool("prepare")})
	}
}
