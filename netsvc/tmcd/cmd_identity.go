package tmcd

import "iter"

// Who am I: status and the like.

func runStatus(c *call) {
	if !c.who.allocated() {
		c.str("FREE\n")
		return
	}
	c.str("ALLOCATED=", c.who.expt.Project, "/", c.who.expt.ID, " NICKNAME=", c.who.nickname(), "\n")
}

func runNodeID(c *call)   { c.str(c.who.node.ID, "\n") }
func runNodeType(c *call) { c.str(c.who.node.Type, "\n") }

func runNodeUUID(c *call) {
	if c.who.node.UUID != "" {
		c.str(c.who.node.UUID, "\n")
	}
}

func runRole(c *call) {
	if c.who.res.Role != "" {
		c.str(c.who.res.Role, "\n")
	}
}

func runCreator(c *call) {
	c.str("CREATOR=", c.who.expt.Creator)
	if c.v(21) {
		c.str(" SWAPPER=", c.who.expt.Swapper)
	}
	c.str("\n")
}

func runWBStore(c *call) {
	c.str("UUID=", c.who.expt.UUID, " PID=", c.who.expt.Project, "\n")
}

func runKeyHash(c *call) {
	if key := c.who.expt.KeyHash; key != "" {
		c.str("KEYHASH HASH='", key, "'\n")
	}
}

func runEventKey(c *call) {
	if key := c.who.expt.EventKey; key != "" {
		c.str("EVENTKEY KEY='", key, "'\n")
	}
}

// runSyncServer names the experiment's synchronisation server in DNS.
func runSyncServer(c *call) {
	e := c.who.expt
	if e.SyncServer == "" {
		return
	}
	isServer := "0"
	if c.who.nickname() == e.SyncServer {
		isServer = "1"
	}
	c.str("SYNCSERVER SERVER='", e.SyncServer, ".", e.ID, ".", e.Project, ".", c.snap.Site().Domain,
		"' ISSERVER=", isServer, "\n")
}

// runVNodeList lists the virtual nodes reserved on this machine.
func runVNodeList(c *call) {
	if c.who.vnode {
		return
	}
	for _, id := range c.snap.Guests(c.who.node.ID) {
		guest := c.snap.Node(id)
		if guest == nil || c.snap.Reservation(id) == nil || c.isSubnode(guest) {
			continue
		}
		if !c.v(7) {
			c.str(id, "\n")
			continue
		}
		jailed := "0"
		if guest.Jailed {
			jailed = "1"
		}
		c.str("VNODEID=", id, " JAILED=", jailed, "\n")
	}
}

// runFullConfig runs every command with the fullconfig bit for this kind of
// node, in table order, each between two lines that name it.
func runFullConfig(c *call) {
	for cmd := range c.fullConfig() {
		c.str("*** ", cmd.name, "\n")
		c.inner(cmd)
		c.str("*** ", cmd.name, "\n")
	}
}

// fullConfig are the commands of this caller's fullconfig.
func (c *call) fullConfig() iter.Seq[*command] {
	bit := fullMachine
	if c.who.vnode {
		bit = fullVNode
	}
	clearRemote := !c.who.local && c.req.Transport != TLS
	return func(yield func(*command) bool) {
		for i := range c.h.table {
			cmd := &c.h.table[i]
			if !cmd.has(bit) || cmd.has(needTPM) || cmd.has(needTLS) && clearRemote || !c.who.proven && c.who.policy.wantsProof(cmd) {
				continue
			}
			if !yield(cmd) {
				return
			}
		}
	}
}

// inner runs another command with the same arguments and adds its reply.
func (c *call) inner(cmd *command) {
	inner := call{h: c.h, snap: c.snap, req: c.req, who: c.who, cmd: cmd, args: c.args, out: c.out}
	inner.run()
	c.out, c.effects = inner.out, append(c.effects, inner.effects...)
}
