package registry_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"hyzer/storage/registry"
)

// smallSite is what the rules are tried on.
const smallSite = `
projects: [{id: sys}, {id: p}]
users: [{id: ann, unix_uid: 10}]
groups: [{project: p, id: p, unix_name: p, unix_gid: 6, members: [{user: ann, trust: user}]}]
oses:
- {project: sys, name: std, legacy_id: 1, versions: [{version: 0, family: Linux, op_mode: NORMALv2}, {version: 1, family: Linux, op_mode: NORMALv2}]}
- {project: sys, name: any, versions: [{version: 0, family: Linux, next_os: sys/std}]}
- {project: sys, name: spare, versions: [{version: 0, family: Linux, op_mode: NORMALv2}]}
images:
- {project: sys, name: disk, versions: [{version: 0, path: /i, load_part: 0, load_length: 4, boot_os: "sys/std:0"}]}
types: [{name: pc, class: pc, default_os: sys/any}, {name: pcvm, class: pcvm, virtual: true}]
nodes:
- id: pc1
  type: pc
  uuid: u1
  widearea_key: secret
  interfaces: [{name: eth0, role: ctrl, mac: 02:00:00:00:00:01, ip: 10.0.0.1}]
- {id: pc2, type: pc, interfaces: [{name: eth0, role: ctrl, mac: 02:00:00:00:00:02, ip: 10.0.0.2}]}
- {id: vm1, type: pcvm, host: pc1}
experiments: [{project: p, id: e}]
reservations: [{node: pc1, experiment: p/e, vname: alpha, external_key: k1}]
boots: [{node: pc1, def: "sys/std:1"}]
loads: [{node: pc1, images: [{image: "sys/disk:0"}]}]
`

// rules: a transaction on smallSite, and the error that it must give; "" means
// that it is allowed. Each case is a site file that is applied, or keys that
// are deleted, one after the other.
var rules = []struct {
	name   string
	put    string
	remove []string // "kind key"
	want   string
}{
	{name: "MAC in two nodes", put: `nodes: [{id: pc3, type: pc, interfaces: [{name: eth0, role: ctrl, mac: "020000000001"}]}]`,
		want: "conflicts with another record: mac/020000000001 belongs to node pc1"},
	{name: "MAC twice in a node", put: `nodes: [{id: pc3, type: pc, interfaces: [{name: a, role: ctrl, mac: 02:00:00:00:00:09}, {name: b, role: expt, mac: 02:00:00:00:00:09}]}]`,
		want: "mac/020000000009 belongs to node pc3"},
	{name: "MAC moved in one transaction", put: `
nodes:
- {id: pc1, type: pc, interfaces: [{name: eth0, role: ctrl, mac: 02:00:00:00:00:02, ip: 10.0.0.2}]}
- {id: pc2, type: pc, interfaces: [{name: eth0, role: ctrl, mac: 02:00:00:00:00:01, ip: 10.0.0.1}]}`},
	{name: "control address in two nodes", put: `nodes: [{id: pc3, type: pc, interfaces: [{name: eth0, role: ctrl, ip: 10.0.0.2}]}]`,
		want: "ip/10.0.0.2 belongs to node pc2"},
	{name: "experiment address in two nodes", put: `nodes: [{id: pc3, type: pc, interfaces: [{name: eth0, role: expt, ip: 10.0.0.2}]}]`},
	{name: "two control interfaces", put: `nodes: [{id: pc3, type: pc, interfaces: [{name: a, role: ctrl}, {name: b, role: ctrl}]}]`,
		want: "2 control interfaces"},
	{name: "interface name twice", put: `nodes: [{id: pc3, type: pc, interfaces: [{name: a, role: ctrl}, {name: a, role: expt}]}]`,
		want: `"a" is empty or used twice`},
	{name: "IPv6 address", put: `nodes: [{id: pc3, type: pc, interfaces: [{name: a, role: ctrl, ip: "fe80::1"}]}]`, want: "not IPv4"},
	{name: "UUID twice", put: `nodes: [{id: pc3, type: pc, uuid: u1}]`, want: "uuid/u1 belongs to node pc1"},
	{name: "wide-area key twice", put: `nodes: [{id: pc3, type: pc, widearea_key: secret}]`, want: "belongs to node pc1"},
	{name: "unknown type", put: `nodes: [{id: pc3, type: none}]`, want: `type "none" does not exist`},
	{name: "unknown host", put: `nodes: [{id: vm2, type: pcvm, host: none}]`, want: `host "none" does not exist`},
	{name: "virtual host", put: `nodes: [{id: vm2, type: pcvm, host: vm1}]`, want: `host "vm1" is itself virtual`},
	{name: "partition of no disk", put: `partitions: [{node: pc1, slots: [{slot: 129, os: sys/std}]}]`, want: "slot 129: want 0 to 128"},
	{name: "negative partition", put: `partitions: [{node: pc1, slots: [{slot: -1, os: sys/std}]}]`, want: "slot -1"},
	{name: "whole disk", put: `partitions: [{node: pc1, slots: [{slot: 0, os: sys/std}]}]`},
	{name: "firewall", put: `experiments: [{project: p, id: e, firewall: {name: alpha, type: iptables, style: basic, vlan: 7, rules: [{number: 1, rule: "-P DROP"}]}}]`},
	{name: "firewall without name", put: `experiments: [{project: p, id: e, firewall: {name: "", type: iptables, style: basic}}]`, want: "firewall: "},
	{name: "firewall without type", put: `experiments: [{project: p, id: e, firewall: {name: alpha, type: "", style: basic}}]`, want: "firewall alpha has no type"},
	{name: "firewall on no VLAN", put: `experiments: [{project: p, id: e, firewall: {name: alpha, type: iptables, style: basic, vlan: 4096}}]`, want: "VLAN 4096"},
	{name: "rule of two lines", put: `experiments: [{project: p, id: e, firewall: {name: alpha, type: iptables, style: basic, rules: [{number: 1, rule: "x\ny"}]}}]`,
		want: "rule 1 is of more than one line"},
	{name: "default rule of two lines", put: `site: {firewall_defaults: {rules: [{type: ipfw, style: open, number: 4, rule: "x\ny"}]}}`, want: "rule 4 is of more than one line"},
	{name: "server without address", put: `site: {servers: [{name: fs, ip: "", mac: "020000000005"}]}`, want: "server fs has no address"},
	{name: "bad name", put: `nodes: [{id: ../x, type: pc}]`, want: "record breaks a rule"},
	{name: "VName twice", put: `reservations: [{node: pc2, experiment: p/e, vname: alpha}]`, want: "vname/p/e/alpha belongs to reservation pc1"},
	{name: "external key twice", put: `reservations: [{node: pc2, experiment: p/e, external_key: k1}]`, want: "external/k1 belongs to"},
	{name: "VName handed over", put: `
reservations: [{node: pc1, experiment: p/e}, {node: pc2, experiment: p/e, vname: alpha, external_key: k1}]`},
	{name: "unknown experiment", put: `reservations: [{node: pc2, experiment: p/none}]`, want: `experiment "p/none" does not exist`},
	{name: "legacy id twice", put: `oses: [{project: sys, name: new, legacy_id: 1, versions: [{version: 0, op_mode: X}]}]`, want: "osid/1 belongs to os sys/std"},
	{name: "system without versions", put: `oses: [{project: sys, name: new, versions: []}]`, want: "no versions"},
	{name: "system used before its versions are checked", put: `
types: [{name: pc, class: pc, default_os: sys/new}]
oses: [{project: sys, name: new, versions: []}]`, want: "no versions"},
	{name: "versions out of order", put: `oses: [{project: sys, name: new, versions: [{version: 1, op_mode: X}, {version: 0, op_mode: X}]}]`, want: "version 0 after 1"},
	{name: "system without op_mode", put: `oses: [{project: sys, name: new, versions: [{version: 0}]}]`, want: "has no op_mode"},
	{name: "generic system in a circle", put: `
oses:
- {project: sys, name: a, versions: [{version: 0, next_os: sys/b}]}
- {project: sys, name: b, versions: [{version: 0, next_os: sys/a}]}`, want: "in a circle"},
	{name: "generic system that leads nowhere", put: `oses: [{project: sys, name: a, versions: [{version: 0, next_os: sys/b}]}]`, want: "OS sys/b does not exist"},
	{name: "version in use is dropped", put: `oses: [{project: sys, name: std, legacy_id: 1, versions: [{version: 0, op_mode: NORMALv2}]}]`,
		want: "node pc1 boots it: registry: record breaks a rule: OS sys/std has no version 1"},
	{name: "boot of an unknown system", put: `boots: [{node: pc2, def: sys/none}]`, want: "OS sys/none does not exist"},
	{name: "boot of an unknown version", put: `boots: [{node: pc2, next: "sys/std:7"}]`, want: "OS sys/std has no version 7"},
	{name: "image path missing", put: `images: [{project: sys, name: i, versions: [{version: 0, load_part: 0, load_length: 1}]}]`, want: "has no path"},
	{name: "image slot out of bounds", put: `images: [{project: sys, name: i, versions: [{version: 0, path: /x, load_part: 129, load_length: 1}]}]`, want: "load_part 129"},
	{name: "load of an unknown image", put: `loads: [{node: pc2, images: [{image: sys/none}]}]`, want: `image "sys/none" does not exist`},
	{name: "member unknown", put: `groups: [{project: p, id: g, unix_name: g, unix_gid: 7, members: [{user: bob, trust: user}]}]`, want: `user "bob" does not exist`},
	{name: "record of an unknown node", put: `statuses: [{node: none}]`, want: `node "none" does not exist`},
	{name: "subnet IPv6", put: `site: {subnets: [{prefix: "fe80::/64"}]}`, want: "want an IPv4 prefix"},
	{name: "subnet mode", put: `site: {subnets: [{prefix: 10.0.0.0/24, dhcp: maybe}]}`, want: `dhcp "maybe"`},
	{name: "subnet router outside", put: `site: {subnets: [{prefix: 10.0.0.0/24, router: 10.0.1.1}]}`, want: "outside"},
	{name: "subnet range in reverse", put: `site: {subnets: [{prefix: 10.0.0.0/24, range_first: 10.0.0.9, range_last: 10.0.0.1}]}`, want: "in order"},
	{name: "subnet range half", put: `site: {subnets: [{prefix: 10.0.0.0/24, range_first: 10.0.0.9}]}`, want: "both ends"},
	{name: "subnet lease", put: `site: {subnets: [{prefix: 10.0.0.0/24, lease_secs: -1}]}`, want: "lease_secs -1"},

	{name: "delete a reserved node", remove: []string{"node vm1", "node pc1"}, want: "is reserved; free it first"},
	{name: "delete a host", remove: []string{"reservation pc1", "node pc1"}, want: "node vm1 runs on it"},
	{name: "delete node with its guest", remove: []string{"reservation pc1", "node pc1", "node vm1"}},
	{name: "delete a type in use", remove: []string{"type pc"}, want: "is of this type"},
	{name: "delete an experiment in use", remove: []string{"experiment p/e"}, want: "node pc1 is reserved to it"},
	{name: "delete a project in use", remove: []string{"project p"}, want: "experiment e is in it"},
	{name: "delete a member", remove: []string{"user ann"}, want: "is a member of group p/p"},
	{name: "delete a system in use", remove: []string{"os sys/std"}, want: "node pc1 boots it"},
	{name: "delete a system that another leads to", remove: []string{"boot pc1", "load pc1", "image sys/disk", "os sys/std"}, want: "system sys/any leads to it"},
	{name: "delete a free system", remove: []string{"os sys/spare"}},
	{name: "delete an image that is to be loaded", remove: []string{"image sys/disk"}, want: "node pc1 is to load it"},
	{name: "delete what is not there", remove: []string{"node none"}},
}

func TestRules(t *testing.T) {
	t.Parallel()
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			reg := newSite(t, smallSite)
			before := pictureOf(t, reg.Snapshot())
			_, err := reg.Update(t.Context(), func(tx *registry.Tx) error {
				if err := parseSite(t, rule.put).ApplyTo(tx); err != nil {
					return err
				}
				for _, id := range rule.remove {
					if err := remove(tx, id); err != nil {
						return err
					}
				}
				return nil
			})
			if rule.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), rule.want) {
				t.Fatalf("error %v, want %q", err, rule.want)
			}
			if !errors.Is(err, registry.ErrInvalid) && !errors.Is(err, registry.ErrConflict) {
				t.Errorf("%v is neither ErrInvalid nor ErrConflict", err)
			}
			if after := pictureOf(t, reg.Snapshot()); after != before {
				t.Errorf("a refused transaction left a trace:\n%s", after)
			}
		})
	}
}

func remove(tx *registry.Tx, id string) error {
	kind, key, _ := strings.Cut(id, " ")
	switch kind {
	case "node":
		return registry.Delete[registry.Node](tx, key)
	case "type":
		return registry.Delete[registry.NodeType](tx, key)
	case "os":
		return registry.Delete[registry.OS](tx, key)
	case "image":
		return registry.Delete[registry.Image](tx, key)
	case "project":
		return registry.Delete[registry.Project](tx, key)
	case "user":
		return registry.Delete[registry.User](tx, key)
	case "experiment":
		return registry.Delete[registry.Experiment](tx, key)
	case "reservation":
		return registry.Delete[registry.Reservation](tx, key)
	case "boot":
		return registry.Delete[registry.BootSelection](tx, key)
	case "load":
		return registry.Delete[registry.NodeLoad](tx, key)
	}
	return fmt.Errorf("test: kind %q", kind)
}

var rewrite = flag.Bool("rewrite", false, "write golden files instead of comparing with them")

// TestSiteFileRoundTrip: YAML -> registry -> Export -> YAML gives the golden
// text, and that text gives itself.
func TestSiteFileRoundTrip(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("testdata/site.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first := exported(t, string(source))
	if *rewrite {
		if err := os.WriteFile("testdata/site.golden.yaml", []byte(first), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile("testdata/site.golden.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if first != string(golden) {
		t.Errorf("exported\n%s\nwant\n%s", first, golden)
	}
	if second := exported(t, first); second != first {
		t.Errorf("second export\n%s\nfirst\n%s", second, first)
	}
}

func exported(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	if err := newSite(t, text).Snapshot().Export().WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestSiteFileErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"unknown section", "nodez: []\n", `line 1: section "nodez" is not known`},
		{"unknown field", "nodes:\n- id: pc1\n  tipe: pc\n", `line 2: in "nodes": json: unknown field "tipe"`},
		{"wrong type", "nodes:\n- {id: pc1, type: pc}\n- {id: pc2, sshd_port: many}\n", `line 3: in "nodes"`},
		{"bad MAC", "nodes:\n- id: pc1\n  interfaces: [{name: a, role: ctrl, mac: 12e4}]\n", `line 2: in "nodes": MAC address "12e4"`},
		{"bad reference", "boots:\n- {node: pc1, def: std}\n", `line 2: in "boots": reference "std"`},
		{"list for a section", "nodes: {id: pc1}\n", `line 1: in "nodes"`},
		{"text for a site", "just text\n", "line 1: want sections"},
		{"key twice", "nodes:\n- {id: pc1, id: pc2}\n", `line 2: yaml`},
		{"section twice", "nodes: []\nnodes: []\n", `line 2: section "nodes" stands twice`},
		{"two documents", "nodes: []\n---\nnodes: []\n", "line 2: a second document"},
		{"not YAML", "nodes: [\n", "yaml: line"},
		{"aliases without end", "nodes:\n- &a [1,1]\n- &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n- &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n" +
			"- &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n- [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n", "line 2: in"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := registry.ParseSiteFile(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestSiteFileText: what looks like a number to YAML stays what was written.
func TestSiteFileText(t *testing.T) {
	t.Parallel()
	file := parseSite(t, `
oses: [{project: p, name: 007, versions: [{version: 0, release: 20.10, op_mode: yes}]}]
nodes:
- id: 1e3
  type: 0x1f
  attributes: {bootdisk_bios_id: 0x80, nobootinfo: 1, flag: true, empty: ~}
  interfaces:
  - {name: 0, role: ctrl, mac: 12e456789012}
  - {name: 1, role: expt, mac: 001122334455, card: 3}
`)
	os, node := file.OSes[0], file.Nodes[0]
	got := fmt.Sprint(os.Name, " ", os.Versions[0].Release, " ", os.Versions[0].OpMode, " ", node.ID, " ", node.Type, " ",
		node.Attributes, " ", node.Interfaces[0].Name, " ", node.Interfaces[0].MAC, " ", node.Interfaces[1].MAC, " ", node.Interfaces[1].Card)
	want := "007 20.10 yes 1e3 0x1f map[bootdisk_bios_id:0x80 empty: flag:true nobootinfo:1] 0 12:e4:56:78:90:12 00:11:22:33:44:55 3"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestImportIsAllOrNothing(t *testing.T) {
	t.Parallel()
	reg := newSite(t, smallSite)
	before := pictureOf(t, reg.Snapshot())
	err := reg.Import(t.Context(), parseSite(t, "projects: [{id: new}]\nnodes: [{id: pc9, type: none}]\n"))
	if !errors.Is(err, registry.ErrInvalid) {
		t.Fatalf("error %v", err)
	}
	err = reg.Import(t.Context(), parseSite(t, "projects: [{id: new}, {id: new}]\n"))
	if err == nil || !strings.Contains(err.Error(), "stands twice") {
		t.Errorf("error %v", err)
	}
	if after := pictureOf(t, reg.Snapshot()); after != before {
		t.Errorf("left\n%s", after)
	}
}
