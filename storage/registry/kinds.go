package registry

import (
	"fmt"
)

// The record methods of every type, one block each: kind, key, what must hold,
// what only one may have, and where the snapshot keeps it.

func (*Site) kind() string { return kindSite }
func (*Site) key() string  { return "site" }
func (s *Site) check(tx *Tx) error {
	for i, subnet := range s.Subnets {
		if err := subnet.check(); err != nil {
			return fmt.Errorf("subnet %d: %w", i+1, err)
		}
	}
	for _, server := range s.Servers {
		if !server.IP.Is4() {
			return invalid("server %s has no address", server.Name)
		}
	}
	return s.Firewalls.check()
}
func (*Site) claims() []string      { return nil }
func (s *Site) install(n *Snapshot) { n.site = s }
func (s *Site) remove(n *Snapshot)  { n.site = &Site{} }

func (*NodeType) kind() string          { return kindType }
func (t *NodeType) key() string         { return t.Name }
func (t *NodeType) claims() []string    { return nil }
func (t *NodeType) install(n *Snapshot) { n.types = n.types.With(t.Name, t) }
func (t *NodeType) remove(n *Snapshot)  { n.types = n.types.Without(t.Name) }
func (t *NodeType) check(tx *Tx) error {
	return firstError(checkName(t.Name), needOS(tx, t.DefaultOS), needOS(tx, t.LoaderOS), needOS(tx, t.AdminOS))
}

func (*Node) kind() string  { return kindNode }
func (n *Node) key() string { return n.ID }
func (n *Node) claims() []string {
	var names []string
	if n.UUID != "" {
		names = append(names, "uuid/"+n.UUID)
	}
	if n.WideAreaKey != "" {
		names = append(names, "widearea/"+n.WideAreaKey)
	}
	for i := range n.Interfaces {
		ifc := &n.Interfaces[i]
		if !ifc.MAC.IsZero() {
			names = append(names, "mac/"+ifc.MAC.Hex())
		}
		if ifc.isControl() && ifc.IP.IsValid() {
			names = append(names, "ip/"+ifc.IP.String())
		}
	}
	return names
}
func (n *Node) install(s *Snapshot) {
	s.nodes = s.nodes.With(n.ID, n)
	if _, ok := s.cells.Get(n.ID); !ok {
		s.cells = s.cells.With(n.ID, newCell(n.ID))
	}
	if n.UUID != "" {
		s.byUUID = s.byUUID.With(n.UUID, n)
	}
	if n.WideAreaKey != "" {
		s.byWideArea = s.byWideArea.With(n.WideAreaKey, n)
	}
	for i := range n.Interfaces {
		ifc := &n.Interfaces[i]
		if !ifc.MAC.IsZero() {
			s.byMAC = s.byMAC.With(ifc.MAC, Port{n, ifc})
		}
		if ifc.isControl() && ifc.IP.IsValid() {
			s.byIP = s.byIP.With(ifc.IP, Port{n, ifc})
		}
	}
	if n.Host != "" {
		s.guests = addTo(s.guests, n.Host, n.ID)
	}
}
func (n *Node) remove(s *Snapshot) {
	s.nodes = s.nodes.Without(n.ID)
	s.byUUID = s.byUUID.Without(n.UUID)
	s.byWideArea = s.byWideArea.Without(n.WideAreaKey)
	for i := range n.Interfaces {
		s.byMAC = s.byMAC.Without(n.Interfaces[i].MAC)
		if n.Interfaces[i].isControl() {
			s.byIP = s.byIP.Without(n.Interfaces[i].IP)
		}
	}
	if n.Host != "" {
		s.guests = dropFrom(s.guests, n.Host, n.ID)
	}
}

func (*OS) kind() string          { return kindOS }
func (o *OS) key() string         { return o.Project + "/" + o.Name }
func (o *OS) claims() []string    { return legacyClaim("osid", o.LegacyID) }
func (o *OS) install(n *Snapshot) { n.oses = n.oses.With(o.key(), o) }
func (o *OS) remove(n *Snapshot)  { n.oses = n.oses.Without(o.key()) }

func (*Image) kind() string          { return kindImage }
func (i *Image) key() string         { return i.Project + "/" + i.Name }
func (i *Image) claims() []string    { return legacyClaim("imageid", i.LegacyID) }
func (i *Image) install(n *Snapshot) { n.images = n.images.With(i.key(), i) }
func (i *Image) remove(n *Snapshot)  { n.images = n.images.Without(i.key()) }

func (*Project) kind() string          { return kindProject }
func (p *Project) key() string         { return p.ID }
func (p *Project) check(tx *Tx) error  { return checkName(p.ID) }
func (p *Project) claims() []string    { return nil }
func (p *Project) install(n *Snapshot) { n.projects = n.projects.With(p.ID, p) }
func (p *Project) remove(n *Snapshot)  { n.projects = n.projects.Without(p.ID) }

func (*Group) kind() string     { return kindGroup }
func (g *Group) key() string    { return g.Project + "/" + g.ID }
func (*Group) claims() []string { return nil }
func (g *Group) check(tx *Tx) error {
	if err := firstError(checkName(g.ID), need[Project](tx, g.Project)); err != nil {
		return err
	}
	for _, m := range g.Members {
		if err := need[User](tx, m.User); err != nil {
			return err
		}
	}
	return nil
}
func (g *Group) install(n *Snapshot) {
	n.groups = n.groups.With(g.key(), g)
	n.projectGroups = addTo(n.projectGroups, g.Project, g.ID)
}
func (g *Group) remove(n *Snapshot) {
	n.groups = n.groups.Without(g.key())
	n.projectGroups = dropFrom(n.projectGroups, g.Project, g.ID)
}

func (*User) kind() string          { return kindUser }
func (u *User) key() string         { return u.ID }
func (u *User) check(tx *Tx) error  { return checkName(u.ID) }
func (u *User) claims() []string    { return nil }
func (u *User) install(n *Snapshot) { n.users = n.users.With(u.ID, u) }
func (u *User) remove(n *Snapshot)  { n.users = n.users.Without(u.ID) }

func (*Experiment) kind() string     { return kindExperiment }
func (e *Experiment) key() string    { return e.Key() }
func (*Experiment) claims() []string { return nil }
func (e *Experiment) check(tx *Tx) error {
	return firstError(checkName(e.ID), need[Project](tx, e.Project), e.Firewall.check())
}
func (e *Experiment) install(n *Snapshot) { n.experiments = n.experiments.With(e.key(), e) }
func (e *Experiment) remove(n *Snapshot)  { n.experiments = n.experiments.Without(e.key()) }

func (*Reservation) kind() string  { return kindReservation }
func (r *Reservation) key() string { return r.Node }
func (r *Reservation) check(tx *Tx) error {
	return firstError(need[Node](tx, r.Node), need[Experiment](tx, r.Experiment))
}
func (r *Reservation) claims() []string {
	var names []string
	if r.VName != "" {
		names = append(names, "vname/"+r.Experiment+"/"+r.VName)
	}
	if r.ExternalID != "" {
		names = append(names, "external/"+r.ExternalID)
	}
	return names
}
func (r *Reservation) install(n *Snapshot) {
	n.reservations = n.reservations.With(r.Node, r)
	n.members = addTo(n.members, r.Experiment, r.Node)
	if r.ExternalID != "" {
		n.byExternal = n.byExternal.With(r.ExternalID, r.Node)
	}
}
func (r *Reservation) remove(n *Snapshot) {
	n.reservations = n.reservations.Without(r.Node)
	n.members = dropFrom(n.members, r.Experiment, r.Node)
	n.byExternal = n.byExternal.Without(r.ExternalID)
}

func (*BootSelection) kind() string     { return kindBoot }
func (b *BootSelection) key() string    { return b.Node }
func (*BootSelection) claims() []string { return nil }
func (b *BootSelection) check(tx *Tx) error {
	return firstError(need[Node](tx, b.Node), needOS(tx, b.Def), needOS(tx, b.Temp), needOS(tx, b.Next))
}
func (b *BootSelection) install(n *Snapshot) { n.boots = n.boots.With(b.Node, b) }
func (b *BootSelection) remove(n *Snapshot)  { n.boots = n.boots.Without(b.Node) }

func (*PartitionTable) kind() string     { return kindPartitions }
func (p *PartitionTable) key() string    { return p.Node }
func (*PartitionTable) claims() []string { return nil }
func (p *PartitionTable) check(tx *Tx) error {
	for _, slot := range p.Slots {
		if slot.Slot < 0 || slot.Slot > SlotsMax { // 0 is the whole disk
			return invalid("slot %d: want 0 to %d", slot.Slot, SlotsMax)
		}
	}
	return need[Node](tx, p.Node)
}
func (p *PartitionTable) install(n *Snapshot) {
	n.partitions = n.partitions.With(p.Node, p)
}
func (p *PartitionTable) remove(n *Snapshot) { n.partitions = n.partitions.Without(p.Node) }

func (*Runtime) kind() string          { return kindRuntime }
func (r *Runtime) key() string         { return r.Node }
func (*Runtime) claims() []string      { return nil }
func (r *Runtime) check(tx *Tx) error  { return need[Node](tx, r.Node) }
func (r *Runtime) install(n *Snapshot) { n.runtimes = n.runtimes.With(r.Node, r) }
func (r *Runtime) remove(n *Snapshot)  { n.runtimes = n.runtimes.Without(r.Node) }

func (*NodeState) kind() string         { return kindState }
func (s *NodeState) key() string        { return s.Node }
func (*NodeState) claims() []string     { return nil }
func (s *NodeState) check(tx *Tx) error { return need[Node](tx, s.Node) }
func (s *NodeState) install(n *Snapshot) {
	n.cell(s.Node).state.Store(s)
}
func (s *NodeState) remove(n *Snapshot) { n.cells = n.cells.With(s.Node, newCell(s.Node)) }

func (*NodeStatus) kind() string         { return kindStatus }
func (s *NodeStatus) key() string        { return s.Node }
func (*NodeStatus) claims() []string     { return nil }
func (s *NodeStatus) check(tx *Tx) error { return need[Node](tx, s.Node) }
func (s *NodeStatus) install(n *Snapshot) {
	n.cell(s.Node).status.Store(s)
}
func (s *NodeStatus) remove(n *Snapshot) { n.cell(s.Node).status.Store(&NodeStatus{Node: s.Node}) }

func (*Command) kind() string          { return kindCommand }
func (c *Command) key() string         { return c.Node }
func (*Command) claims() []string      { return nil }
func (c *Command) check(tx *Tx) error  { return need[Node](tx, c.Node) }
func (c *Command) install(n *Snapshot) { n.commands = n.commands.With(c.Node, c) }
func (c *Command) remove(n *Snapshot)  { n.commands = n.commands.Without(c.Node) }

func (*Errand) kind() string          { return kindErrand }
func (e *Errand) key() string         { return fmt.Sprintf("%s/%016x.%d", e.Node, uint64(e.After), e.Index) }
func (*Errand) claims() []string      { return nil }
func (e *Errand) check(tx *Tx) error  { return need[Node](tx, e.Node) }
func (e *Errand) install(n *Snapshot) { n.errands = n.errands.With(e.key(), e) }
func (e *Errand) remove(n *Snapshot)  { n.errands = n.errands.Without(e.key()) }

// Key names the errand, for Delete.
func (e *Errand) Key() string { return e.key() }

func (*NodeLoad) kind() string     { return kindLoad }
func (l *NodeLoad) key() string    { return l.Node }
func (*NodeLoad) claims() []string { return nil }
func (l *NodeLoad) check(tx *Tx) error {
	for _, img := range l.Images {
		if err := need[Image](tx, img.Image.Key()); err != nil {
			return err
		}
	}
	return need[Node](tx, l.Node)
}
func (l *NodeLoad) install(n *Snapshot) { n.loads = n.loads.With(l.Node, l) }
func (l *NodeLoad) remove(n *Snapshot)  { n.loads = n.loads.Without(l.Node) }

func (*LoadJob) kind() string          { return kindJob }
func (j *LoadJob) key() string         { return j.ID }
func (*LoadJob) claims() []string      { return nil }
func (j *LoadJob) check(tx *Tx) error  { return checkName(j.ID) }
func (j *LoadJob) install(n *Snapshot) { n.jobs = n.jobs.With(j.ID, j) }
func (j *LoadJob) remove(n *Snapshot)  { n.jobs = n.jobs.Without(j.ID) }

func (*LoadNode) kind() string          { return kindLoadNode }
func (l *LoadNode) key() string         { return LoadNodeKey(l.Job, l.Node) }
func (*LoadNode) claims() []string      { return nil }
func (l *LoadNode) check(tx *Tx) error  { return need[LoadJob](tx, l.Job) }
func (l *LoadNode) install(n *Snapshot) { n.loadNodes = n.loadNodes.With(l.key(), l) }
func (l *LoadNode) remove(n *Snapshot)  { n.loadNodes = n.loadNodes.Without(l.key()) }

// LoadNodeKey names a LoadNode.
func LoadNodeKey(job, node string) string { return job + "/" + node }
