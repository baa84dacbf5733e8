package emulab

import (
	"strconv"

	"hyzer/storage/registry"
)

// placeExperiments lets other tables find the experiments; no more are added
// after it.
func (m *mapper) placeExperiments() {
	m.place, m.byIndex = map[string]*registry.Experiment{}, map[string]string{}
	for i := range m.out.Experiments {
		e := &m.out.Experiments[i]
		m.place[e.Key()], m.byIndex[strconv.Itoa(e.Index)] = e, e.Key()
	}
}

// topologyRecords adds to experiments what they give to their nodes beyond the
// network.
func (m *mapper) topologyRecords() {
	each := m.eachExperiment
	each("virt_programs", func(e *registry.Experiment, row *record) { e.Programs = append(e.Programs, program(row)) })
	each("virt_trafgens", func(e *registry.Experiment, row *record) {
		e.TrafGens = append(e.TrafGens, registry.TrafficGenerator{
			VNode: row.get("vnode"), Name: row.get("vname"), Role: row.get("role"), Proto: row.get("proto"),
			IP: row.addr("ip"), Port: row.int("port"), TargetIP: row.addr("target_ip"), TargetPort: row.int("target_port"),
			Generator: row.get("generator"),
		})
	})
	each("virt_user_environment", func(e *registry.Experiment, row *record) {
		e.Environment = append(e.Environment, registry.Setting{Name: row.get("name"), Value: row.get("value")})
	})
	each("virt_node_attributes", func(e *registry.Experiment, row *record) {
		e.NodeAttrs = append(e.NodeAttrs, registry.Setting{VNode: row.get("vname"), Name: row.get("attrkey"), Value: row.get("attrvalue")})
	})
	each("experiment_blobs", func(e *registry.Experiment, row *record) {
		e.Blobs = append(e.Blobs, registry.Blob{Path: row.get("path"), Action: row.get("action")})
	})
	each("virt_node_disks", func(e *registry.Experiment, row *record) {
		e.Disks = append(e.Disks, registry.Disk{
			VNode: row.get("vname"), Name: row.get("diskname"), Type: row.get("disktype"), Size: row.get("disksize"),
			MountPoint: row.get("mountpoint"), Parameters: row.get("parameters"), Command: row.get("command"),
		})
	})
	each("virt_tiptunnels", func(e *registry.Experiment, row *record) {
		e.Tunnels = append(e.Tunnels, registry.ConsoleTunnel{Host: row.get("host"), VNode: row.get("vnode")})
	})
	each("ipport_ranges", func(e *registry.Experiment, row *record) { e.PortFirst, e.PortLast = row.int("low"), row.int("high") })
	each("virt_blockstores", func(e *registry.Experiment, row *record) {
		e.Blockstores = append(e.Blockstores, registry.Blockstore{Name: row.get("vname"), VNode: row.get("fixed"), SizeMiB: row.int("size")})
	})
	each("virt_blockstore_attributes", m.blockstoreAttribute)
	for _, e := range m.place {
		nameSANs(e)
	}
}

// nameSANs gives remote storage the iSCSI names that Emulab makes for it.
func nameSANs(e *registry.Experiment) {
	for i := range e.Blockstores {
		if b := &e.Blockstores[i]; b.Attributes["class"] == registry.ClassSAN {
			b.IQN = "iqn.2000-10.net.emulab:" + e.Project + ":" + e.ID + ":" + b.Name
		}
	}
}

func program(row *record) registry.Program {
	p := registry.Program{
		VNode: row.get("vnode"), Name: row.get("vname"), Command: row.get("command"), Dir: row.get("dir"), TimeoutSecs: row.int("timeout"),
	}
	if row.has("expected_exit_code") {
		code := row.int("expected_exit_code")
		p.ExpectedExit = &code
	}
	return p
}

func (m *mapper) blockstoreAttribute(e *registry.Experiment, row *record) {
	for i := range e.Blockstores {
		b := &e.Blockstores[i]
		if b.Name != row.get("vname") {
			continue
		}
		if b.Attributes == nil {
			b.Attributes = map[string]string{}
		}
		b.Attributes[row.get("attrkey")] = row.get("attrvalue")
		return
	}
	m.drop("virt_blockstore_attributes", row, "no blockstore %q", row.get("vname"))
}

// shapingDetails adds delays, consoles and time sources to nodes.
func (m *mapper) shapingDetails() {
	m.perNode("delays", func(n *registry.Node, row *record) {
		d := registry.Delay{Link: row.get("vname"), NoShaping: row.int("noshaping")}
		for i := range 2 {
			end := strconv.Itoa(i)
			d.Ports[i], d.Units[i], d.VNodes[i] = row.get("iface"+end), row.int("viface_unit"+end), row.get("vnode"+end)
			d.Shaping[i] = shaping(row, "", end)
			d.Queues[i] = queue(row, "q"+end)
		}
		n.Delays = append(n.Delays, d)
	})
	m.perNode("linkdelays", func(n *registry.Node, row *record) {
		n.LinkDelays = append(n.LinkDelays, registry.LinkDelay{
			Link: row.get("vlan"), Port: row.get("iface"), Unit: row.int("viface_unit"), Type: row.get("type"), VNode: row.get("vnode"),
			IP: row.addr("ip"), Mask: row.addr("netmask"), Shaping: shaping(row, "", ""), Return: shaping(row, "r", ""), Queue: queue(row, "q"),
		})
	})
	m.perNode("ntpinfo", func(n *registry.Node, row *record) {
		n.NTP = append(n.NTP, registry.NTPServer{Address: row.get("ip"), Type: row.get("type")})
	})
	for _, row := range m.t.rows["subboss_attributes"] {
		n := m.nodes[row.get("subboss_id")]
		if n == nil {
			m.drop("subboss_attributes", row, "no node %q", row.get("subboss_id"))
			continue
		}
		service := row.get("service")
		if n.ServiceAttrs == nil {
			n.ServiceAttrs = map[string]map[string]string{}
		}
		if n.ServiceAttrs[service] == nil {
			n.ServiceAttrs[service] = map[string]string{}
		}
		n.ServiceAttrs[service][row.get("attrkey")] = row.get("attrvalue")
	}
	m.perNode("tiplines", func(n *registry.Node, row *record) {
		n.Console = registry.Console{Server: row.get("server"), Port: row.int("portnum"), KeyLen: row.int("keylen"), Key: row.get("keydata")}
	})
}

// shaping reads columns such as pipe0 or rdelay.
func shaping(row *record, prefix, suffix string) registry.Shaping {
	return registry.Shaping{
		Pipe: row.int(prefix + "pipe" + suffix), DelayMs: row.float(prefix + "delay" + suffix),
		BandwidthKbps: row.int(prefix + "bandwidth" + suffix), Loss: row.float(prefix + "lossrate" + suffix),
		BackfillKbps: row.int(prefix + "backfill" + suffix),
	}
}

func queue(row *record, prefix string) registry.Queue {
	return registry.Queue{
		RED: row.int(prefix + "_red"), Limit: row.int(prefix + "_limit"), MaxThresh: row.int(prefix + "_maxthresh"),
		MinThresh: row.int(prefix + "_minthresh"), Weight: row.float(prefix + "_weight"), LinTerm: row.int(prefix + "_linterm"),
		QInBytes: row.int(prefix + "_qinbytes"), Bytes: row.int(prefix + "_bytes"), MeanPktSize: row.int(prefix + "_meanpsize"),
		Wait: row.int(prefix + "_wait"), SetBit: row.int(prefix + "_setbit"), DropTail: row.int(prefix + "_droptail"),
		Gentle: row.int(prefix + "_gentle"),
	}
}

// serviceRecords adds registered ports and host keys to runtimes.
func (m *mapper) serviceRecords() {
	place := map[string]*registry.Runtime{}
	for i := range m.out.Runtimes {
		place[m.out.Runtimes[i].Node] = &m.out.Runtimes[i]
	}
	for _, row := range m.t.rows["port_registration"] {
		run := place[row.get("node_id")]
		if run == nil {
			m.drop("port_registration", row, "no node %q", row.get("node_id"))
			continue
		}
		if run.Services == nil {
			run.Services = map[string]int{}
		}
		run.Services[row.get("service")] = row.int("port")
	}
	columns := map[string]string{"SSH_HOST_KEY": "sshrsa_v1", "SSH_HOST_RSA_KEY": "sshrsa_v2", "SSH_HOST_DSA_KEY": "sshdsa_v2"}
	for _, row := range m.t.rows["node_hostkeys"] {
		run := place[row.get("node_id")]
		if run == nil {
			m.drop("node_hostkeys", row, "no node %q", row.get("node_id"))
			continue
		}
		run.SFSHostID = row.get("sfshostid")
		for name, column := range columns {
			if key := row.get(column); key != "" {
				if run.SSHKeys == nil {
					run.SSHKeys = map[string]string{}
				}
				run.SSHKeys[name] = key
			}
		}
	}
}
