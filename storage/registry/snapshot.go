package registry

import (
	"net/netip"
	"sort"
	"sync/atomic"

	"hyzer/storage/kv"
)

// Snapshot is the site at one revision. It never changes, except that State
// and Status give the newest durable value. Records it returns are shared and
// must not be modified.
type Snapshot struct {
	revision      kv.Revision
	site          *Site
	types         pmap[string, *NodeType]
	nodes         pmap[string, *Node]
	oses          pmap[string, *OS]
	images        pmap[string, *Image]
	projects      pmap[string, *Project]
	groups        pmap[string, *Group]
	users         pmap[string, *User]
	experiments   pmap[string, *Experiment]
	reservations  pmap[string, *Reservation]
	boots         pmap[string, *BootSelection]
	partitions    pmap[string, *PartitionTable]
	runtimes      pmap[string, *Runtime]
	commands      pmap[string, *Command]
	errands       pmap[string, *Errand]
	loads         pmap[string, *NodeLoad]
	jobs          pmap[string, *LoadJob]
	loadNodes     pmap[string, *LoadNode]
	grants        pmap[string, *UploadGrant]
	cells         pmap[string, *cell]
	byMAC         pmap[MAC, Port]
	byIP          pmap[netip.Addr, Port]
	byUUID        pmap[string, *Node]
	byWideArea    pmap[string, *Node]
	byExternal    pmap[string, string]   // external key -> node
	guests        pmap[string, []string] // host -> virtual nodes
	members       pmap[string, []string] // experiment -> nodes
	projectGroups pmap[string, []string] // project -> group ids
}

// Port is an interface with the node it is in.
type Port struct {
	Node      *Node
	Interface *Interface
}

// cell holds what moves too often to make a snapshot of.
type cell struct {
	state  atomic.Pointer[NodeState]
	status atomic.Pointer[NodeStatus]
}

func newCell(node string) *cell {
	c := &cell{}
	c.state.Store(&NodeState{Node: node})
	c.status.Store(&NodeStatus{Node: node})
	return c
}

func emptySnapshot() *Snapshot { return &Snapshot{site: &Site{}} }

// cell returns a node's cell, making it while a snapshot is built.
func (s *Snapshot) cell(node string) *cell {
	c, ok := s.cells.Get(node)
	if !ok {
		c = newCell(node)
		s.cells = s.cells.With(node, c)
	}
	return c
}

// Revision is the newest transaction the snapshot holds.
func (s *Snapshot) Revision() kv.Revision { return s.revision }

// Site returns the site record, empty if none was imported.
func (s *Snapshot) Site() *Site { return s.site }

// Node finds a node by name; nil if there is none.
func (s *Snapshot) Node(id string) *Node { return find(s.nodes, id) }

// NodeByMAC finds the interface with a hardware address.
func (s *Snapshot) NodeByMAC(mac MAC) (Port, bool) { return s.byMAC.Get(mac) }

// NodeByIP finds the control interface with an address.
func (s *Snapshot) NodeByIP(ip netip.Addr) (Port, bool) { return s.byIP.Get(ip.Unmap()) }

// NodeByUUID finds a node by its UUID, or nil.
func (s *Snapshot) NodeByUUID(uuid string) *Node { return find(s.byUUID, uuid) }

// NodeByWideAreaKey finds a node by its private key (PRIVKEY), or nil.
func (s *Snapshot) NodeByWideAreaKey(key string) *Node { return find(s.byWideArea, key) }

// NodeByExternalKey finds a node by its reservation's key (IDKEY), or nil.
func (s *Snapshot) NodeByExternalKey(key string) *Node {
	id, ok := s.byExternal.Get(key)
	if !ok {
		return nil
	}
	return s.Node(id)
}

// The rest find a record by key; nil if there is none.

func (s *Snapshot) Type(name string) *NodeType                 { return find(s.types, name) }
func (s *Snapshot) OS(key string) *OS                          { return find(s.oses, key) }
func (s *Snapshot) Image(key string) *Image                    { return find(s.images, key) }
func (s *Snapshot) Project(id string) *Project                 { return find(s.projects, id) }
func (s *Snapshot) Group(project, id string) *Group            { return find(s.groups, project+"/"+id) }
func (s *Snapshot) User(id string) *User                       { return find(s.users, id) }
func (s *Snapshot) Experiment(key string) *Experiment          { return find(s.experiments, key) }
func (s *Snapshot) Reservation(node string) *Reservation       { return find(s.reservations, node) }
func (s *Snapshot) Boot(node string) *BootSelection            { return find(s.boots, node) }
func (s *Snapshot) PartitionTable(node string) *PartitionTable { return find(s.partitions, node) }
func (s *Snapshot) Runtime(node string) *Runtime               { return find(s.runtimes, node) }
func (s *Snapshot) Command(node string) *Command               { return find(s.commands, node) }
func (s *Snapshot) Errand(key string) *Errand                  { return find(s.errands, key) }
func (s *Snapshot) Load(node string) *NodeLoad                 { return find(s.loads, node) }
func (s *Snapshot) Job(id string) *LoadJob                     { return find(s.jobs, id) }

func (s *Snapshot) LoadNode(job, node string) *LoadNode {
	return find(s.loadNodes, LoadNodeKey(job, node))
}

// Guests lists the virtual nodes on a host, Members the nodes reserved to an
// experiment, ProjectGroups the group ids of a project, all sorted.

func (s *Snapshot) Guests(host string) []string           { return list(s.guests, host) }
func (s *Snapshot) Members(experiment string) []string    { return list(s.members, experiment) }
func (s *Snapshot) ProjectGroups(project string) []string { return list(s.projectGroups, project) }

// State is a node's newest durable state; State "" before its first report.
func (s *Snapshot) State(node string) *NodeState {
	if c, ok := s.cells.Get(node); ok {
		return c.state.Load()
	}
	return &NodeState{Node: node}
}

// Status is whether a node was heard from.
func (s *Snapshot) Status(node string) *NodeStatus {
	if c, ok := s.cells.Get(node); ok {
		return c.status.Load()
	}
	return &NodeStatus{Node: node}
}

// OSVersion resolves a reference to an OS and its version; nil if it is gone.
func (s *Snapshot) OSVersion(ref Ref) (*OS, *OSVersion) {
	os := s.OS(ref.Key())
	if os == nil {
		return nil, nil
	}
	return os, os.Version(ref.Version)
}

// ImageVersion resolves a reference to an image and its version, or nil.
func (s *Snapshot) ImageVersion(ref Ref) (*Image, *ImageVersion) {
	image := s.Image(ref.Key())
	if image == nil {
		return nil, nil
	}
	return image, image.Version(ref.Version)
}

// Attribute is a node's attribute, or else its type's, or else "".
func (s *Snapshot) Attribute(node *Node, key string) string {
	if v, ok := node.Attributes[key]; ok {
		return v
	}
	if t := s.Type(node.Type); t != nil {
		return t.Attributes[key]
	}
	return ""
}

// Nodes, Types and so on list records sorted by key. They cost a walk and a
// sort; they are for operators and for building, not for packets.

func (s *Snapshot) Nodes() []*Node                     { return sorted(s.nodes) }
func (s *Snapshot) Types() []*NodeType                 { return sorted(s.types) }
func (s *Snapshot) OSes() []*OS                        { return sorted(s.oses) }
func (s *Snapshot) Images() []*Image                   { return sorted(s.images) }
func (s *Snapshot) Projects() []*Project               { return sorted(s.projects) }
func (s *Snapshot) Groups() []*Group                   { return sorted(s.groups) }
func (s *Snapshot) Users() []*User                     { return sorted(s.users) }
func (s *Snapshot) Experiments() []*Experiment         { return sorted(s.experiments) }
func (s *Snapshot) Reservations() []*Reservation       { return sorted(s.reservations) }
func (s *Snapshot) Boots() []*BootSelection            { return sorted(s.boots) }
func (s *Snapshot) PartitionTables() []*PartitionTable { return sorted(s.partitions) }
func (s *Snapshot) Runtimes() []*Runtime               { return sorted(s.runtimes) }
func (s *Snapshot) Commands() []*Command               { return sorted(s.commands) }
func (s *Snapshot) Errands() []*Errand                 { return sorted(s.errands) }
func (s *Snapshot) Loads() []*NodeLoad                 { return sorted(s.loads) }
func (s *Snapshot) Jobs() []*LoadJob                   { return sorted(s.jobs) }

// NodeCount is the number of nodes.
func (s *Snapshot) NodeCount() int { return s.nodes.Len() }

func find[K comparable, V any](m pmap[K, *V], key K) *V {
	v, _ := m.Get(key)
	return v
}

func list(m pmap[string, []string], key string) []string {
	v, _ := m.Get(key)
	return v
}

func sorted[V any](m pmap[string, *V]) []*V {
	type entry struct {
		key   string
		value *V
	}
	entries := make([]entry, 0, m.Len())
	m.All(func(k string, v *V) bool {
		entries = append(entries, entry{k, v})
		return true
	})
	sort.Slice(entries, func(i, j int) bool { return entries[i].key < entries[j].key })
	values := make([]*V, len(entries))
	for i, e := range entries {
		values[i] = e.value
	}
	return values
}

// SameTypes reports whether no node type changed between two snapshots, for
// what is computed from all types.
func (s *Snapshot) SameTypes(o *Snapshot) bool { return s.types == o.types }

// SameSite reports whether two snapshots differ at most in records of single
// nodes that come and go with loads and boots: boot selection, partitions,
// runtime, command, errands, loads, states. It is for what is made from many
// records and kept; a kind of record that is added here is part of the site
// unless it is left out below.
func (s *Snapshot) SameSite(o *Snapshot) bool {
	a, b := *s, *o
	for _, c := range []*Snapshot{&a, &b} {
		c.revision, c.cells = 0, pmap[string, *cell]{}
		c.boots, c.partitions, c.runtimes = pmap[string, *BootSelection]{}, pmap[string, *PartitionTable]{}, pmap[string, *Runtime]{}
		c.commands, c.errands = pmap[string, *Command]{}, pmap[string, *Errand]{}
		c.loads, c.jobs, c.loadNodes = pmap[string, *NodeLoad]{}, pmap[string, *LoadJob]{}, pmap[string, *LoadNode]{}
	}
	return a == b
}
