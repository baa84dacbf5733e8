package bootplan_test

import (
	"fmt"
	"strings"
	"testing"

	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/storage/registry"
)

const site = `
site: {domain: example.net, boss_name: boss.example.net, boss_ip: 10.0.0.254, new_node_os: sys/NEWNODE, boot_files: {bios: /tftpboot/site.0, efi-x64: /tftpboot/ipxe.efi}}
projects: [{id: sys}]
oses:
- {project: sys, name: NEWNODE, versions: [{version: 0, path: /tftpboot/newnode, mfs: true, op_mode: PXEFBSD}]}
- {project: sys, name: STD, versions: [{version: 0, op_mode: NORMALv2}, {version: 1, op_mode: NORMALv2}]}
- {project: sys, name: ANY, versions: [{version: 0, next_os: sys/STD}]}
- {project: sys, name: OTHER, versions: [{version: 0, op_mode: NORMALv1}]}
- {project: sys, name: MFS, versions: [{version: 0, path: "/tftpboot/mfs -s", mfs: true, op_mode: PXEFBSD}]}
- {project: sys, name: HOSTMFS, versions: [{version: 0, path: "boss:/tftpboot/mfs  k=v -s", mfs: true, op_mode: PXEFBSD}]}
- {project: sys, name: FARMFS, versions: [{version: 0, path: "far.away.org:/tftpboot/mfs", mfs: true, op_mode: PXEFBSD}]}
- {project: sys, name: NODEMFS, versions: [{version: 0, path: "pc2:/tftpboot/mfs", mfs: true, op_mode: PXEFBSD}]}
- {project: sys, name: SECURE, versions: [{version: 0, path: /tftpboot/sec, mfs: true, op_mode: SECURELOAD, features: [ontrustedboot]}]}
- {project: sys, name: KERNEL, versions: [{version: 0, path: "10.9.9.9:/kernel", op_mode: NETBOOT}, {version: 1, path: /kernel, op_mode: NETBOOT}]}
- {project: sys, name: LOADER, versions: [{version: 0, path: /tftpboot/frisbee, mfs: true, op_mode: RELOAD}]}
- {project: sys, name: LOADER2, versions: [{version: 0, path: /tftpboot/own, mfs: true, op_mode: OTHERLOAD}]}
images: [{project: sys, name: I, versions: [{version: 0, path: /i, load_part: 0, load_length: 4}]}]
types:
- {name: pc, class: pc, loader_os: sys/LOADER2}
- {name: disk, class: pc, attributes: {bootdisk_bios_id: 0x80, pxe_boot_path: /tftpboot/type.0}}
- {name: silent, class: pc, attributes: {nobootinfo: "1"}}
- {name: linux, class: pc, attributes: {boot_method: pxelinux}}
experiments: [{project: sys, id: e}]
nodes: [{id: pc2, type: pc, interfaces: [{name: eth0, role: ctrl, ip: 10.0.0.2}]}]
`

// rules: what is recorded of node pc1, and the plan, as the rules of page
// bootinfo, section 3, say. Reserved unless free is said.
var rules = []struct {
	rule    string
	node    string // fields of the node beside its id; type pc unless given
	records string // further sections; {} is the boot selection
	boot    string
	free    bool
	version int
	want    string
}{
	{rule: "1 nobootinfo counts as unknown", node: "type: silent", boot: "def: sys/STD", version: 1, want: "mfs /tftpboot/newnode new"},
	{rule: "1 nobootinfo of the node", node: "type: pc, attributes: {nobootinfo: 1}", version: 1, want: "mfs /tftpboot/newnode new"},
	{rule: "1 nobootinfo 0 is known", node: "type: silent, attributes: {nobootinfo: 0}", version: 1, want: "wait"},
	{rule: "2 free waits", boot: "def: sys/MFS", free: true, version: 1, want: "wait"},
	{rule: "2 free, old loader", boot: "def: sys/MFS", free: true, want: "mfs /tftpboot/mfs [-s] PXEFBSD"},
	{rule: "3 own boot program", boot: "def: sys/STD, pxe_path: /tftpboot/pxelinux.0", version: 1, want: "reboot"},
	{rule: "3 pxeboot is the right one", boot: "def: sys/MFS, pxe_path: /tftpboot/pxeboot.emu", version: 1, want: "mfs /tftpboot/mfs [-s] PXEFBSD"},
	{rule: "2 before 3", boot: "pxe_path: /tftpboot/pxelinux.0", free: true, version: 1, want: "wait"},
	{rule: "4 next before temp and def", boot: "def: sys/STD, temp: sys/FARMFS, next: sys/MFS", version: 1, want: "mfs /tftpboot/mfs [-s] PXEFBSD"},
	{rule: "4 temp before def", boot: "def: sys/STD, temp: sys/MFS", version: 1, want: "mfs /tftpboot/mfs [-s] PXEFBSD"},
	{rule: "4 def on its partition", boot: "def: sys/STD", records: "partitions: [{node: pc1, slots: [{slot: 1, os: sys/OTHER}, {slot: 2, os: sys/STD}]}]", version: 1, want: "part 2 NORMALv2"},
	{rule: "4 any version of the system on disk", boot: `def: "sys/STD:0"`, records: `partitions: [{node: pc1, slots: [{slot: 3, os: "sys/STD:1"}]}]`, version: 1, want: "part 3 NORMALv2"},
	{rule: "4 generic system", boot: "def: sys/ANY", records: "partitions: [{node: pc1, slots: [{slot: 2, os: sys/STD}]}]", version: 1, want: "part 2 NORMALv2"},
	{rule: "4 slot 0 is the MBR", boot: "def: sys/STD", records: "partitions: [{node: pc1, slots: [{slot: 0, os: sys/STD}]}]", version: 1, want: "part 0 NORMALv2"},
	{rule: "4 bootdisk in hex", node: "type: disk", boot: "def: sys/STD", records: "partitions: [{node: pc1, slots: [{slot: 2, os: sys/STD}]}]", version: 1, want: "diskpart 128 2 NORMALv2"},
	{rule: "4 bootdisk of the node, leading zero", node: `type: disk, attributes: {bootdisk_bios_id: "0129"}`, boot: "def: sys/STD", records: "partitions: [{node: pc1, slots: [{slot: 2, os: sys/STD}]}]", version: 1, want: "diskpart 129 2 NORMALv2"},
	{rule: "4 bootdisk is no number", node: "type: disk, attributes: {bootdisk_bios_id: first}", boot: "def: sys/STD", records: "partitions: [{node: pc1, slots: [{slot: 2, os: sys/STD}]}]", version: 1, want: "fail"},
	{rule: "4 on no partition", boot: "def: sys/STD", version: 1, want: "fail"},
	{rule: "4 multiboot at an address", boot: `def: "sys/KERNEL:0"`, version: 1, want: "multiboot 10.9.9.9:/kernel NETBOOT"},
	{rule: "4 multiboot without host", boot: `def: "sys/KERNEL:1"`, version: 1, want: "multiboot 10.0.0.254:/kernel NETBOOT"},
	{rule: "4 secure", boot: "def: sys/SECURE", version: 1, want: "mfs /tftpboot/sec secure SECURELOAD"},
	{rule: "5 next's command line", boot: "next: sys/MFS, next_cmdline: -v, def_cmdline: -x", version: 1, want: "mfs /tftpboot/mfs [-v] PXEFBSD"},
	{rule: "5 def's command line", boot: "def: sys/MFS, def_cmdline: -x, next_cmdline: -v", version: 1, want: "mfs /tftpboot/mfs [-x] PXEFBSD"},
	{rule: "5 temp has none", boot: "temp: sys/FARMFS, def_cmdline: -x, next_cmdline: -v", version: 1, want: "mfs far.away.org:/tftpboot/mfs PXEFBSD"},
	{rule: "5 def's command line on a partition", boot: "def: sys/STD, def_cmdline: single", records: "partitions: [{node: pc1, slots: [{slot: 2, os: sys/STD}]}]", version: 1, want: "part 2 [single] NORMALv2"},
	{rule: "5 the site's name", boot: "def: sys/HOSTMFS", version: 1, want: "mfs 10.0.0.254:/tftpboot/mfs [ k=v -s] PXEFBSD"},
	{rule: "5 a node's name", boot: "def: sys/NODEMFS", version: 1, want: "mfs 10.0.0.2:/tftpboot/mfs PXEFBSD"},
	{rule: "6 nothing selected", version: 1, want: "wait"},
	{rule: "6 nothing selected, old loader", want: "fail"},
	{rule: "7 secure in PXEKERNEL", boot: "def: sys/SECURE", records: "states: [{node: pc1, mode: PXEKERNEL, state: PXEBOOTING}]", version: 1, want: "reboot"},
	{rule: "loader with a load", boot: "def: sys/MFS, next: sys/LOADER", records: "loads: [{node: pc1, images: [{image: sys/I}]}]", version: 1, want: "mfs /tftpboot/frisbee RELOAD"},
	{rule: "loader without a load", boot: "def: sys/MFS, next: sys/LOADER, next_cmdline: -v", version: 1, want: "mfs /tftpboot/mfs [-s] PXEFBSD"},
	{rule: "loader of the type without a load", boot: "def: sys/MFS, next: sys/LOADER2", version: 1, want: "mfs /tftpboot/mfs [-s] PXEFBSD"},
	{rule: "pxelinux", node: "type: linux", boot: "def: sys/MFS", version: 1, want: "mfs /tftpboot/mfs [-s] PXEFBSD pxelinux"},
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for _, c := range rules {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, c.node, c.boot, c.records, c.free)
			plan := bootplan.Resolve(s, s.Node("pc1"), bootplan.Asker{LoaderVersion: c.version})
			if got := text(plan); got != c.want || plan.Reason == "" {
				t.Errorf("got  %s (%s)\nwant %s", got, plan.Reason, c.want)
			}
		})
	}
}

func snapshot(t *testing.T, node, boot, records string, free bool) *registry.Snapshot {
	t.Helper()
	if node == "" {
		node = "type: pc"
	}
	file, err := registry.ParseSiteFile(strings.NewReader(site))
	if err != nil {
		t.Fatal(err)
	}
	extra := fmt.Sprintf("nodes: [{id: pc1, %s}]\nboots: [{node: pc1, %s}]\n%s\n", node, boot, records)
	if !free {
		extra += "reservations: [{node: pc1, experiment: sys/e}]\n"
	}
	more, err := registry.ParseSiteFile(strings.NewReader(extra))
	if err != nil {
		t.Fatalf("%v in\n%s", err, extra)
	}
	file.Append(more)
	return registry.NewSnapshot(file)
}

func text(p bootplan.Plan) string {
	words := []string{p.Kind.String()}
	switch p.Kind {
	case bootplan.DiskPart:
		words = append(words, fmt.Sprint(p.Disk), fmt.Sprint(p.Partition))
	case bootplan.Part:
		words = append(words, fmt.Sprint(p.Partition))
	case bootplan.MFS, bootplan.Multiboot:
		words = append(words, strings.TrimPrefix(p.Host+":"+p.Path, ":"))
	default:
		return p.Kind.String()
	}
	if p.Cmdline != "" {
		words = append(words, "["+p.Cmdline+"]")
	}
	if p.Secure {
		words = append(words, "secure")
	}
	if p.NewNode {
		return strings.Join(append(words, "new"), " ")
	}
	words = append(words, p.OpMode)
	if p.Boot == bootplan.PXELinux {
		words = append(words, "pxelinux")
	}
	return strings.Join(words, " ")
}

func TestUnknownMachine(t *testing.T) {
	t.Parallel()
	s := snapshot(t, "", "", "", false)
	for _, version := range []int{0, 1} {
		if got := text(bootplan.Resolve(s, nil, bootplan.Asker{LoaderVersion: version})); got != "mfs /tftpboot/newnode new" {
			t.Errorf("version %d: %s", version, got)
		}
	}
	none := registry.NewSnapshot(&registry.SiteFile{})
	if plan := bootplan.Resolve(none, nil, bootplan.Asker{}); plan.Kind != bootplan.Fail || !plan.NewNode {
		t.Errorf("site without new_node_os: %+v", plan)
	}
}

// TestGenericCircle: records that lead in a circle end in an error, not in a
// loop. The registry refuses them; a snapshot of a file alone does not.
func TestGenericCircle(t *testing.T) {
	t.Parallel()
	s := snapshot(t, "", "def: sys/A", "oses: [{project: sys, name: A, versions: [{version: 0, next_os: sys/A}]}, {project: sys, name: NONE, versions: []}]", false)
	if plan := bootplan.Resolve(s, s.Node("pc1"), bootplan.Asker{LoaderVersion: 1}); plan.Kind != bootplan.Fail {
		t.Errorf("plan %+v", plan)
	}
	if _, version := bootplan.Concrete(s, registry.HeadRef("sys", "NONE")); version != nil {
		t.Errorf("a system without versions has %+v", version)
	}
}

// TestFile is the order of page bootinfo, section 5.
func TestFile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, node, boot string
		client           bootplan.Client
		want             string
	}{
		{"next path", "type: disk, boot_path: /tftpboot/node.0", "next_pxe_path: /tftpboot/next.0, pxe_path: /tftpboot/path.0", bootplan.Client{Class: "bios"}, "/tftpboot/next.0"},
		{"path", "type: disk, boot_path: /tftpboot/node.0", "pxe_path: /tftpboot/path.0", bootplan.Client{Class: "bios"}, "/tftpboot/path.0"},
		{"node", "type: disk, boot_path: /tftpboot/node.0", "", bootplan.Client{Class: "bios"}, "/tftpboot/node.0"},
		{"node attribute before type's", "type: disk, attributes: {pxe_boot_path: /tftpboot/attr.0}", "", bootplan.Client{Class: "bios"}, "/tftpboot/attr.0"},
		{"type", "type: disk", "", bootplan.Client{Class: "bios"}, "/tftpboot/type.0"},
		{"unsafe path is passed over", "type: disk", "next_pxe_path: /etc/passwd, pxe_path: /tftpboot/../etc/passwd", bootplan.Client{Class: "bios"}, "/tftpboot/type.0"},
		{"site", "type: pc", "", bootplan.Client{Class: "bios"}, "/tftpboot/site.0"},
		{"site, other class", "type: pc", "", bootplan.Client{Class: "efi-x64"}, "/tftpboot/ipxe.efi"},
		{"fallback", "type: pc", "", bootplan.Client{Class: "http-x64", Fallback: "efi-x64"}, "/tftpboot/ipxe.efi"},
		{"nothing", "type: pc", "", bootplan.Client{Class: "efi-arm64"}, ""},
		{"pxelinux", "type: linux", "pxe_path: /tftpboot/path.0", bootplan.Client{Class: "bios"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, c.node, c.boot, "", false)
			if got := bootplan.File(s, s.Node("pc1"), c.client); got.Name != c.want || got.Reason == "" {
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
	empty := registry.NewSnapshot(&registry.SiteFile{})
	if got := bootplan.File(empty, nil, bootplan.Client{Class: "bios"}); got.Name != "/tftpboot/pxeboot.emu" {
		t.Errorf("unknown machine at an empty site: %+v", got)
	}
}
