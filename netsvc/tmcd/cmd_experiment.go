package tmcd

import "strconv"

// What the experiment's topology gives to this node, line by line. Nodes that
// are free, or lists without an entry for the node, give nothing.

func runPrograms(c *call) {
	any := false
	for i := range c.who.expt.Programs {
		p := &c.who.expt.Programs[i]
		if p.VNode != c.who.nickname() {
			continue
		}
		if !any {
			c.str("UID=", c.who.expt.Swapper, "\n")
			any = true
		}
		c.str("AGENT=", p.Name)
		if c.v(23) {
			if p.Dir != "" {
				c.str(" DIR=", p.Dir)
			}
			if p.TimeoutSecs != 0 {
				c.str(" TIMEOUT=", strconv.Itoa(p.TimeoutSecs))
			}
			if p.ExpectedExit != nil {
				c.str(" EXPECTED_EXIT_CODE=", strconv.Itoa(*p.ExpectedExit))
			}
		}
		if c.v(13) {
			c.str(" COMMAND='", p.Command, "'")
		}
		c.str("\n")
	}
}

func runTrafGens(c *call) {
	for i := range c.who.expt.TrafGens {
		g := &c.who.expt.TrafGens[i]
		if g.VNode != c.who.nickname() {
			continue
		}
		c.str("TRAFGEN=", g.Name, " MYNAME=", addr(g.IP), " MYPORT=", strconv.Itoa(g.Port),
			" PEERNAME=", addr(g.TargetIP), " PEERPORT=", strconv.Itoa(g.TargetPort),
			" PROTO=", g.Proto, " ROLE=", g.Role, " GENERATOR=", g.Generator, "\n")
	}
}

func runUserEnv(c *call) {
	for _, s := range c.who.expt.Environment {
		c.str(s.Name, "=", s.Value, "\n")
	}
}

func runBlobs(c *call) {
	if !c.v(33) {
		return
	}
	for _, b := range c.who.expt.Blobs {
		c.str("URL=frisbee://", b.Path, " ACTION=", b.Action, "\n")
	}
}

func runNodeAttributes(c *call) {
	if !c.who.allocated() {
		return
	}
	for _, s := range c.who.expt.NodeAttrs {
		if s.VNode == c.who.nickname() {
			c.str(s.Name, `="`, s.Value, "\"\n")
		}
	}
}

func runDisks(c *call) {
	if !c.who.allocated() {
		return
	}
	for _, d := range c.who.expt.Disks {
		if d.VNode == c.who.nickname() {
			c.str("DISK DISKNAME=", d.Name, " DISKTYPE='", d.Type, "' DISKSIZE='", d.Size, "' MOUNTPOINT='", d.MountPoint,
				"' PARAMETERS='", d.Parameters, "' COMMAND='", d.Command, "'\n")
		}
	}
}

// runTipTunnels lists the consoles that this node may reach.
func runTipTunnels(c *call) {
	for _, t := range c.who.expt.Tunnels {
		if t.Host != c.who.nickname() {
			continue
		}
		for _, id := range c.snap.Members(c.who.res.Experiment) {
			node, res := c.snap.Node(id), c.snap.Reservation(id)
			if node == nil || res == nil || res.VName != t.VNode || node.Console.Server == "" {
				continue
			}
			c.str("VNODE=", t.VNode, " SERVER=", node.Console.Server, " PORT=", strconv.Itoa(node.Console.Port),
				" KEYLEN=", strconv.Itoa(node.Console.KeyLen), " KEY=", node.Console.Key, "\n")
		}
	}
}

// runPNetNodeAttrs lists the SIM cards of the experiment's phones.
func runPNetNodeAttrs(c *call) {
	for _, id := range c.snap.Members(c.who.res.Experiment) {
		node := c.snap.Node(id)
		if node == nil {
			continue
		}
		for _, key := range []string{"sim_imsi", "sim_sequence_number"} {
			if value, ok := node.Attributes[key]; ok {
				c.str("NODE_ID=", id, " KEY=", key, " VALUE=", value, "\n")
			}
		}
	}
}
