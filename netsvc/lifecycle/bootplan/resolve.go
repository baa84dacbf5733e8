package bootplan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"hyzer/storage/registry"
)

// Kind is what a node is told to do.
type Kind int

// Kinds of plans. Fail means that there is an error in the node's records, and
// is answered with status 1.
const (
	Fail      Kind = iota
	Wait           // stay in the loader and be woken
	Part           // boot a partition; 0 is the whole disk's MBR
	DiskPart       // boot a partition of a BIOS disk
	Multiboot      // load a multiboot kernel from Server:Path
	MFS            // load a memory file system from [Host:]Path
	Reboot         // reset, to come back through DHCP
)

func (k Kind) String() string {
	names := [...]string{"fail", "wait", "part", "diskpart", "multiboot", "mfs", "reboot"}
	if k < 0 || int(k) >= len(names) {
		return "Kind(" + strconv.Itoa(int(k)) + ")"
	}
	return names[k]
}

// Plan is the answer for one node.
type Plan struct {
	Kind      Kind
	Disk      int            // BIOS number, for DiskPart
	Partition int            // for Part and DiskPart
	Host      string         // for MFS and Multiboot; "" means the server that answers
	Path      string         // for MFS and Multiboot
	Cmdline   string         // for the booted system
	Secure    bool           // the system wants a trusted boot chain
	OS        registry.Ref   // what boots, if it is a known system
	OpMode    string         // its op_mode
	Boot      BootMethodKind // which loader the node uses
	NewNode   bool           // the machine counts as unknown: nothing it does is reported
	Reason    string         // why, for people
}

// BootMethodKind says how the node's type boots; pxelinux nodes report their
// boot events themselves.
type BootMethodKind int

// Boot methods.
const (
	PXEBoot BootMethodKind = iota
	PXELinux
)

// Asker is what the decision needs to know of who asks.
type Asker struct {
	// LoaderVersion is the bootinfo packet version: 0 is an old loader
	// that cannot wait. Services other than bootinfo say 1.
	LoaderVersion int
}

// Rules that follow one generic system to another stop here: a longer chain is
// a cycle.
const nextOSHopsMax = 8

// Attributes of nodes and types that matter here (node_type_attributes).
const (
	attrNoBootinfo = "nobootinfo"
	attrBIOSDisk   = "bootdisk_bios_id"
	attrBootMethod = "boot_method"
	attrPXEPath    = "pxe_boot_path"
)

// Resolve decides what a node boots now. A nil node is a machine that the
// registry does not know.
func Resolve(s *registry.Snapshot, node *registry.Node, asker Asker) Plan {
	if node == nil || s.Attribute(node, attrNoBootinfo) == "1" { // rule 1
		return newNode(s)
	}
	plan := resolveKnown(s, node, asker)
	if s.Attribute(node, attrBootMethod) == "pxelinux" {
		plan.Boot = PXELinux
	}
	if plan.Kind == MFS && plan.Secure && s.State(node.ID).Mode == "PXEKERNEL" { // rule 7
		plan = Plan{Kind: Reboot, Boot: plan.Boot, Reason: "a trusted boot chain is wanted and the plain loader is running"}
	}
	return plan
}

func resolveKnown(s *registry.Snapshot, node *registry.Node, asker Asker) Plan {
	if asker.LoaderVersion >= 1 && s.Reservation(node.ID) == nil { // rule 2
		return Plan{Kind: Wait, Reason: "the node is free"}
	}
	boot := s.Boot(node.ID)
	if boot == nil {
		boot = &registry.BootSelection{Node: node.ID}
	}
	if boot.PXEPath != "" && !strings.Contains(boot.PXEPath, "pxeboot") { // rule 3
		return Plan{Kind: Reboot, Reason: "the node must boot " + boot.PXEPath + " through DHCP"}
	}
	choice := choose(s, boot)
	if choice.ref.IsZero() { // rule 6
		if asker.LoaderVersion >= 1 {
			return Plan{Kind: Wait, Reason: "no system is selected"}
		}
		return Plan{Reason: "no system is selected and the loader cannot wait"}
	}
	return planFor(s, node, choice)
}

// choice is the selected system with the command line that goes with it.
type choice struct {
	ref     registry.Ref
	cmdline string
	from    string // next, temp or def
}

// choose applies rule 4: once > until cleared > default.
func choose(s *registry.Snapshot, b *registry.BootSelection) choice {
	switch {
	case NextCounts(s, s.Node(b.Node), b, s.Load(b.Node)):
		return choice{b.Next, b.NextCmdline, "next"}
	case !b.Temp.IsZero():
		return choice{b.Temp, "", "temp"}
	}
	return choice{b.Def, b.DefCmdline, "def"}
}

// opModeReload is the op_mode of disk loaders.
const opModeReload = "RELOAD"

// NextCounts reports whether a node's one-shot selection is to be followed. A
// disk loader without a load is not: when a boot's report is lost, the end of
// the load leaves the selection behind, and the node would go into the loader,
// find nothing to load, and come back for ever (page stated, section 6). The
// state machine asks this too, so that it expects what the node is told.
func NextCounts(s *registry.Snapshot, node *registry.Node, b *registry.BootSelection, load *registry.NodeLoad) bool {
	if b.Next.IsZero() || load != nil {
		return !b.Next.IsZero()
	}
	if _, version := Concrete(s, b.Next); version != nil && version.OpMode == opModeReload {
		return false
	}
	if node == nil {
		return true
	}
	t := s.Type(node.Type)
	return t == nil || !t.LoaderOS.Same(b.Next)
}

// Selected is the system a node will boot, with generic names followed, and
// its version; nil if none is selected or it is gone.
func Selected(s *registry.Snapshot, b *registry.BootSelection) (registry.Ref, *registry.OSVersion) {
	if b == nil {
		return registry.Ref{}, nil
	}
	return Concrete(s, choose(s, b).ref)
}

// Concrete follows generic systems to the one that exists on disks.
func Concrete(s *registry.Snapshot, ref registry.Ref) (registry.Ref, *registry.OSVersion) {
	for range nextOSHopsMax {
		_, version := s.OSVersion(ref)
		if version == nil || version.NextOS.IsZero() {
			return ref, version
		}
		ref = version.NextOS
	}
	return ref, nil
}

func planFor(s *registry.Snapshot, node *registry.Node, c choice) Plan {
	ref, version := Concrete(s, c.ref)
	plan := Plan{OS: ref, Cmdline: c.cmdline}
	if version == nil {
		plan.Reason = fmt.Sprintf("%s system %s does not exist", c.from, c.ref)
		return plan
	}
	plan.OpMode = version.OpMode
	plan.Reason = fmt.Sprintf("%s system is %s", c.from, ref)
	if version.Path != "" {
		planPath(s, &plan, version)
		return plan
	}
	slot, ok := slotOf(s, node, ref)
	if !ok {
		plan.Reason += ", which is on no partition of the node"
		return plan
	}
	plan.Kind, plan.Partition = Part, slot
	if disk := s.Attribute(node, attrBIOSDisk); disk != "" {
		n, err := strconv.ParseInt(disk, 10, 32)
		if err != nil { // C's atoi read 0x80 as 0
			n, err = strconv.ParseInt(disk, 0, 32)
		}
		if err != nil {
			plan.Kind, plan.Reason = Fail, "attribute "+attrBIOSDisk+" is not a number: "+disk
			return plan
		}
		plan.Kind, plan.Disk = DiskPart, int(n)
	}
	return plan
}

// planPath fills a plan for a system that is loaded from the net (rule 5):
// "[host:]path[ cmdline]", where a selection's own command line wins.
func planPath(s *registry.Snapshot, plan *Plan, version *registry.OSVersion) {
	path, cmdline, _ := strings.Cut(version.Path, " ")
	if plan.Cmdline == "" {
		plan.Cmdline = cmdline
	}
	plan.Kind, plan.Path = Multiboot, path
	if host, rest, ok := strings.Cut(path, ":"); ok {
		plan.Host, plan.Path = address(s, host), rest
	}
	if version.MFS {
		plan.Kind = MFS
		plan.Secure = version.Has("ontrustedboot")
	} else if plan.Host == "" {
		plan.Host = address(s, s.Site().BossName)
	}
}

// address turns a name the site knows into its address. Other names stay as
// they are: the decision looks nothing up.
func address(s *registry.Snapshot, host string) string {
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	site := s.Site()
	name := strings.TrimSuffix(host, "."+site.Domain)
	if name != "" && name == strings.TrimSuffix(site.BossName, "."+site.Domain) && site.BossIP.IsValid() {
		return site.BossIP.String()
	}
	if node := s.Node(name); node != nil {
		if ip := node.ControlIP(); ip.IsValid() {
			return ip.String()
		}
	}
	return host
}

func slotOf(s *registry.Snapshot, node *registry.Node, ref registry.Ref) (int, bool) {
	table := s.PartitionTable(node.ID)
	if table == nil {
		return 0, false
	}
	for _, p := range table.Slots {
		if p.OS.Same(ref) {
			return p.Slot, true
		}
	}
	return 0, false
}

func newNode(s *registry.Snapshot) Plan {
	ref := s.Site().NewNodeOS
	if ref.IsZero() {
		return Plan{NewNode: true, Reason: "the machine is unknown and the site names no new_node_os"}
	}
	_, version := Concrete(s, ref)
	if version == nil || version.Path == "" {
		return Plan{NewNode: true, Reason: "the machine is unknown and new_node_os " + ref.String() + " has no path"}
	}
	plan := Plan{NewNode: true, OS: ref, OpMode: version.OpMode, Reason: "the machine is unknown: it boots " + ref.String() + " to register"}
	planPath(s, &plan, version)
	return plan
}
