package emulab

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"hyzer/storage/registry"
)

// nodeLifeRecords takes boot selection, runtime and state, which Emulab keeps
// in the nodes table.
func (m *mapper) nodeLifeRecords() {
	attrs := byColumn(m.t.rows["node_attributes"], "node_id")
	for _, row := range m.t.rows["nodes"] {
		id := row.get("node_id")
		if m.nodes[id] == nil {
			continue
		}
		if boot := m.boot(id, row); boot != (registry.BootSelection{Node: id}) {
			m.out.Boots = append(m.out.Boots, boot)
		}
		m.out.Runtimes = append(m.out.Runtimes, runtime(id, row, attrs[id]))
		if row.get("eventstate") != "" || row.get("op_mode") != "" {
			m.out.States = append(m.out.States, m.state(id, row))
		}
	}
	for _, row := range m.t.rows["node_status"] {
		if m.nodes[row.get("node_id")] == nil {
			m.drop("node_status", row, "no node %q", row.get("node_id"))
			continue
		}
		m.out.Statuses = append(m.out.Statuses, registry.NodeStatus{
			Node: row.get("node_id"), Status: row.get("status"), LastSeen: row.time("status_timestamp", m.opts.Zone),
		})
	}
}

func (m *mapper) boot(id string, row *record) registry.BootSelection {
	return registry.BootSelection{
		Node:    id,
		Def:     m.osRef("nodes", row, "def_boot_osid", "def_boot_osid_vers"),
		Temp:    m.osRef("nodes", row, "temp_boot_osid", "temp_boot_osid_vers"),
		Next:    m.osRef("nodes", row, "next_boot_osid", "next_boot_osid_vers"),
		PXEPath: row.get("pxe_boot_path"), NextPXEPath: row.get("next_pxe_boot_path"),
		DefCmdline: row.get("def_boot_cmd_line"), NextCmdline: row.get("next_boot_cmd_line"),
	}
}

// Attributes of nodes that are not configuration.
const (
	attrRootPassword = "root_password"
	attrLastTrim     = "bootdisk_lasttrim" // unix time
)

func runtime(id string, row *record, attrs []*record) registry.Runtime {
	r := registry.Runtime{
		Node: id, StartupCmd: row.get("startupcmd"), StartStatus: row.get("startstatus"), Ready: row.bool("ready"),
		UpdateAccounts: row.int("update_accounts"), RPMs: row.get("rpms"), Tarballs: row.get("tarballs"),
		RouterType: row.get("routertype"), NFSMounts: row.get("nfsmounts"), BootErrno: row.int("boot_errno"),
		NTPDrift: row.get("ntpdrift"), CDVersion: row.get("cd_version"), IPODHash: row.get("ipodhash"),
	}
	for _, attr := range attrs {
		switch attr.get("attrkey") {
		case attrRootPassword:
			r.RootPassword = attr.get("attrvalue")
		case attrLastTrim:
			r.Trimmed = attr.time("attrvalue", time.UTC)
		}
	}
	if taints := row.get("taint_states"); taints != "" {
		r.Taints = strings.Split(taints, ",")
	}
	return r
}

func (m *mapper) state(id string, row *record) registry.NodeState {
	return registry.NodeState{
		Node: id, Mode: row.get("op_mode"), State: row.get("eventstate"), NextMode: row.get("next_op_mode"),
		Since: row.time("state_timestamp", m.opts.Zone), ModeSince: row.time("op_mode_timestamp", m.opts.Zone),
		Running: m.osRef("nodes", row, "osid", "osid_vers"),
	}
}

// partitionRecords takes what each slot holds. A slot that a load is writing is
// not confirmed: Emulab writes its row when the load begins.
func (m *mapper) partitionRecords() {
	place := map[string]int{}
	loading := byColumn(m.t.rows["current_reloads"], "node_id")
	for _, row := range m.t.rows["partitions"] {
		node := row.get("node_id")
		os := m.osRef("partitions", row, "osid", "osid_vers")
		if m.nodes[node] == nil || os.IsZero() {
			m.drop("partitions", row, "no node %q or no system", node)
			continue
		}
		if number := row.int("partition"); number < 0 || number > registry.SlotsMax {
			m.drop("partitions", row, "%s: partition %d", node, number)
			continue
		}
		at, ok := place[node]
		if !ok {
			at = len(m.out.Partitions)
			place[node] = at
			m.out.Partitions = append(m.out.Partitions, registry.PartitionTable{Node: node})
		}
		slot := registry.Partition{Slot: row.int("partition"), OS: os, Image: m.imageRef("partitions", row, "imageid", "imageid_version")}
		if len(loading[node]) == 0 {
			slot.Confirmed = m.opts.Taken
		}
		table := &m.out.Partitions[at]
		table.Slots = append(table.Slots, slot)
	}
	for i := range m.out.Partitions {
		slices.SortFunc(m.out.Partitions[i].Slots, func(a, b registry.Partition) int { return cmp.Compare(a.Slot, b.Slot) })
	}
}
