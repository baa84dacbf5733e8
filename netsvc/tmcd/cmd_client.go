package tmcd

import (
	"strconv"
	"strings"

	"hyzer/storage/registry"
)

// What the node's software is told to do otherwise.

// runManifest lists the experiment's changes to the boot steps of its nodes.
func runManifest(c *call) {
	if !c.who.allocated() || c.who.tainted("blackbox") || c.who.tainted("useronly") {
		return
	}
	mine := func(vnode string) bool { return vnode == "" || vnode == c.who.nickname() }
	for i := range c.who.expt.Services {
		s := &c.who.expt.Services[i]
		if mine(s.VNode) {
			c.str("SERVICE NAME=", s.Name, " ENV=", s.Env, " WHENCE=", s.Whence, " ENABLED=", zeroOne(s.Enabled),
				" HOOKS_ENABLED=", zeroOne(s.Hooks), " FATAL=", zeroOne(s.Fatal), " BLOBID=", s.Blob, "\n")
		}
	}
	for i := range c.who.expt.Hooks {
		h := &c.who.expt.Hooks[i]
		if mine(h.VNode) {
			c.str("HOOK SERVICE=", h.Service, " ENV=", h.Env, " WHENCE=", h.Whence, " OP=", h.Op, " POINT=", h.Point,
				" FATAL=", zeroOne(h.Fatal), " BLOBID=", h.Blob, ` ARGV="`, h.Argv, "\"\n")
		}
	}
}

// runNSEConfigs hands out the node's simulation as it was written.
func runNSEConfigs(c *call) {
	for i := range c.who.expt.NSEConfigs {
		if t := &c.who.expt.NSEConfigs[i]; t.VNode == c.who.nickname() {
			c.str(t.Text)
		}
	}
}

func runMoteLog(c *call) {
	for _, l := range c.who.expt.MoteLogs {
		if l.VNode == c.who.nickname() {
			c.str("MOTELOGID=", l.ID, " CLASSFILE=", l.ClassFile, " SPECFILE=", l.SpecFile, "\n")
		}
	}
}

// runPublicAddrInfo lists the experiment's routable addresses.
func runPublicAddrInfo(c *call) {
	for i := range c.who.expt.PublicAddrs {
		a := &c.who.expt.PublicAddrs[i]
		c.str(`IP="`, addr(a.IP), `" MASK="`, addr(a.Mask), `" NODE_ID="`, a.Node, `" POOL_ID="`, a.Pool, "\"\n")
	}
}

// runSubnodeList lists the parts of a machine that are nodes themselves.
func runSubnodeList(c *call) {
	if !c.v(24) || c.who.vnode {
		return
	}
	for _, id := range c.snap.Guests(c.who.node.ID) {
		if guest := c.snap.Node(id); guest != nil && c.isSubnode(guest) && c.snap.Reservation(id) != nil {
			c.str("NODEID=", id, " TYPE=", guest.Type, "\n")
		}
	}
}

func (c *call) isSubnode(node *registry.Node) bool {
	kind := c.snap.Type(node.Type)
	return kind != nil && kind.Subnode
}

const (
	consoleHostBytesMax = 255
	consoleKeyBytesMax  = 512
)

// runTipLineInfo takes where the console of a virtual node is: lines "host:",
// "port:", "keylen:" and "key:".
func runTipLineInfo(c *call) {
	if !c.who.vnode {
		return
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(c.args)) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	port, errPort := strconv.ParseUint(fields["port"], 10, 16)
	keyLen, errLen := strconv.ParseUint(fields["keylen"], 10, 16)
	host, key := fields["host"], fields["key"]
	hostByte := func(b byte) bool { return isNameByte(b) || b == '.' }
	if errPort != nil || errLen != nil || port == 0 || host == "" || len(host) > consoleHostBytesMax || !every(host, hostByte) ||
		len(key) > consoleKeyBytesMax || !every(key, isAlnum) {
		return
	}
	c.effect(ConsoleReport{Node: c.who.node.ID, Console: registry.Console{Server: host, Port: int(port), KeyLen: int(keyLen), Key: key}})
}
