package tmcd

import (
	"bytes"
	"slices"
	"sync"

	"hyzer/storage/registry"
)

// replies keeps what was answered, for each node, command, protocol version and
// way of asking, until something that it was made from changes. A reply is made
// from the records that all nodes share (registry.Snapshot.SameSite) and from
// the node's own; what else commands read is said by their flag live or listed
// in reads. Replies are made when they are first asked for: a site of thousands
// of nodes asks for few of them at a time.
type replies struct {
	mu    sync.RWMutex
	byKey map[replyKey]*keptReply
	bytes int
}

// replyKey is all of a request that a reply without arguments depends on.
type replyKey struct {
	node      string
	cmd       *command
	version   int
	transport Transport
	vnode     bool
	asVNode   bool
	proven    bool
}

// keptReply is never changed.
type keptReply struct {
	snap    *registry.Snapshot // it was made from, or known to be the same as
	own     ownRecords
	parts   []replyPart
	effects []Effect
}

// replyPart is text, or a command whose reply must be made each time.
type replyPart struct {
	text []byte
	live *command
}

// ownRecords are the records of one node and of the machine below it. A record
// that changed is another pointer.
type ownRecords struct {
	run, below *registry.Runtime
	boot       *registry.BootSelection
	parts      *registry.PartitionTable
	load       *registry.NodeLoad
}

func ownRecordsOf(s *registry.Snapshot, w *caller) ownRecords {
	id := w.node.ID
	own := ownRecords{run: s.Runtime(id), boot: s.Boot(id), parts: s.PartitionTable(id), load: s.Load(id)}
	if w.phys != w.node {
		own.below = s.Runtime(w.phys.ID)
	}
	return own
}

const (
	commandFullConfig = "fullconfig"
	// versionNewest is the last version that changed a reply.
	versionNewest = 44
	// repliesBytesMax bounds all kept replies. Some 30 commands and 10 KB of
	// fullconfig of each of 3000 nodes are 60 MB.
	repliesBytesMax = 64 << 20
	// replyBytesOwn is what a kept reply counts beside its text.
	replyBytesOwn = 512
)

func newReplies() *replies { return &replies{byKey: map[replyKey]*keptReply{}} }

// readsOthers says of commands without the flag live that they read states, or
// records of other nodes that are not part of the site.
func readsOthers(name string) bool {
	switch name {
	case "readycount", "portregister", "dhcpdconf", "bootwhat":
		return true
	}
	return false
}

// steady says whether a command's reply is a function of its replyKey, the site
// and the node's own records.
func (c *command) steady() bool { return !c.has(live|streams) && !readsOthers(c.name) }

// worthKeeping says whether a reply takes longer to make than to find.
func (c *command) worthKeeping() bool {
	switch c.name {
	case "status", "nodeid", "nodetype", "nodeuuid", "role", "creator", "geni_":
		return false
	}
	return c.run != nil && c.steady()
}

// answer runs the command, or gives the reply that is kept.
func (c *call) answer() {
	if c.h.replies == nil || c.cmd.name != commandFullConfig && !c.cmd.worthKeeping() || len(bytes.TrimSpace(c.args)) > 0 || c.req.Transport == UDP { // which leaves parts out, and is cut
		c.run()
		return
	}
	kept := c.kept()
	c.effects = append(c.effects, kept.effects...)
	for i := range kept.parts {
		c.out = append(c.out, kept.parts[i].text...)
		if cmd := kept.parts[i].live; cmd != nil {
			c.inner(cmd)
		}
	}
}

// kept is the reply as it is kept; it is made if need be.
func (c *call) kept() *keptReply {
	key := replyKey{c.who.node.ID, c.cmd, clampVersion(c.req.Version), c.req.Transport, c.who.vnode, c.who.asVNode, c.who.proven}
	own := ownRecordsOf(c.snap, c.who)
	if c.h.replies != nil {
		if kept := c.h.replies.get(key, c.snap, own); kept != nil {
			return kept
		}
	}
	kept := &keptReply{snap: c.snap, own: own}
	if c.cmd.name == commandFullConfig {
		kept.parts, kept.effects = c.fullConfigParts()
	} else {
		c.run()
		kept.parts, kept.effects = []replyPart{{text: bytes.Clone(c.out)}}, c.effects
		c.out, c.effects = c.out[:0], nil
	}
	if c.h.replies != nil {
		c.h.replies.put(key, kept)
	}
	return kept
}

// fullConfigParts is fullconfig with its live commands left open. The names of
// commands that have no reply are most of it.
func (c *call) fullConfigParts() (parts []replyPart, effects []Effect) {
	text := call{h: c.h, snap: c.snap, req: c.req, who: c.who}
	for cmd := range c.fullConfig() {
		text.str("*** ", cmd.name, "\n")
		if cmd.steady() {
			text.inner(cmd)
		} else {
			parts = append(parts, replyPart{slices.Clip(text.out), cmd})
			text.out = nil
		}
		text.str("*** ", cmd.name, "\n")
	}
	return append(parts, replyPart{text: slices.Clip(text.out)}), text.effects
}

// clampVersion makes one of versions that are answered alike: there was none
// before the first nor is one after the last.
func clampVersion(version int) int { return min(max(version, 0), versionNewest+1) }

// get returns a reply if it is what would be made now.
func (r *replies) get(key replyKey, s *registry.Snapshot, own ownRecords) *keptReply {
	r.mu.RLock()
	kept := r.byKey[key]
	r.mu.RUnlock()
	switch {
	case kept == nil || kept.own != own:
		return nil
	case kept.snap == s:
		return kept
	case !kept.snap.SameSite(s):
		return nil
	}
	again := *kept
	again.snap = s
	r.put(key, &again)
	return &again
}

// put keeps a reply. When there is no more room, others go, whichever they are:
// they are soon made again.
func (r *replies) put(key replyKey, kept *keptReply) {
	size := kept.size()
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.byKey[key]; old != nil {
		r.bytes -= old.size()
	}
	r.byKey[key], r.bytes = kept, r.bytes+size
	for k, old := range r.byKey {
		if r.bytes <= repliesBytesMax {
			return
		}
		delete(r.byKey, k)
		r.bytes -= old.size()
	}
}

func (k *keptReply) size() int {
	size := replyBytesOwn
	for i := range k.parts {
		size += len(k.parts[i].text)
	}
	return size
}
