package appliance

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"

	"hyzer/netsvc/bootfiles"
	"hyzer/netsvc/control"
	"hyzer/netsvc/dhcp"
	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/netsvc/tmcd"
	"hyzer/storage/registry"
)

// What each service would answer, in words. The answers come from the same
// functions that serve, so they cannot differ from what a machine gets.

func (a *Appliance) explainAll(s control.Subject) []control.Section {
	sections := []control.Section{{Service: "registry", Text: nodeText(a.reg.Snapshot(), s)}}
	for _, explain := range a.explain {
		sections = append(sections, explain(s))
	}
	return sections
}

// nodeText says what the registry knows of a subject.
func nodeText(snapshot *registry.Snapshot, s control.Subject) string {
	if s.Node == nil {
		return "no node has this address; it is treated as a new machine"
	}
	text := fmt.Sprintf("node %s of type %s, %s at %s", s.Node.ID, s.Node.Type, s.MAC, addrText(s.IP))
	if held := snapshot.Reservation(s.Node.ID); held != nil {
		text += "\nreserved to " + held.Experiment
	} else {
		text += "\nfree"
	}
	if state := snapshot.State(s.Node.ID); state.State != "" {
		text += fmt.Sprintf("\nstate %s/%s since %s", state.Mode, state.State, state.Since.Format("2006-01-02 15:04:05"))
	}
	if load := snapshot.Load(s.Node.ID); load != nil {
		text += fmt.Sprintf("\nhas to load %d images (%s)", len(load.Images), load.Job)
	}
	return text
}

func addrText(ip netip.Addr) string {
	if !ip.IsValid() {
		return "no address"
	}
	return ip.String()
}

// firmware lists what machines boot with, to ask for each.
func firmware() []dhcp.Arch { return []dhcp.Arch{dhcp.ArchBIOS, dhcp.ArchX64EFI, dhcp.ArchARM64EFI} }

func (a *Appliance) explainDHCP(server *dhcp.Server, s control.Subject) control.Section {
	if s.MAC.IsZero() {
		return control.Section{Service: "dhcp", Text: "the hardware address is not known"}
	}
	var text strings.Builder
	for _, arch := range firmware() {
		fmt.Fprintf(&text, "with %s firmware:\n", archClass(arch))
		answer := server.Explain(dhcp.Question{
			Client: dhcp.EthernetAddr(s.MAC), Arch: arch, Class: "PXEClient", Local: localAddr(a.reg.Snapshot().Site(), s.IP)})
		fmt.Fprintf(&text, "  %s\n", strings.ReplaceAll(strings.TrimSpace(answer), "\n", "\n  "))
	}
	return control.Section{Service: "dhcp", Text: text.String()}
}

// localAddr is our address on the network of a machine.
func localAddr(site *registry.Site, machine netip.Addr) netip.Addr {
	for _, subnet := range site.Subnets {
		if machine.IsValid() && subnet.Prefix.Contains(machine) && subnet.Server.IsValid() {
			return subnet.Server
		}
	}
	return site.BossIP
}

// explainFiles says whether the boot files that DHCP names are there.
func (a *Appliance) explainFiles(files bootfiles.Files, s control.Subject) control.Section {
	var text strings.Builder
	for _, arch := range firmware() {
		class := archClass(arch)
		file := bootplan.File(a.reg.Snapshot(), s.Node, bootplan.Client{Class: class})
		switch {
		case file.Name == "":
			fmt.Fprintf(&text, "%s: no file: %s\n", class, file.Reason)
		case strings.Contains(file.Name, "://"):
			fmt.Fprintf(&text, "%s: %s is fetched by another service\n", class, file.Name)
		default:
			fmt.Fprintf(&text, "%s: %s (%s): %s\n", class, file.Name, file.Reason, fileText(files, s.IP, file.Name))
		}
	}
	return control.Section{Service: "tftp", Text: text.String()}
}

func fileText(files bootfiles.Files, client netip.Addr, name string) string {
	f, err := files.Open(context.Background(), client, name)
	if err != nil {
		return fmt.Sprintf("cannot be served: %v", err)
	}
	defer f.Close()
	return fmt.Sprintf("%d bytes", f.Size())
}

func (a *Appliance) explainBootinfo(s control.Subject) control.Section {
	plan := bootplan.Resolve(a.reg.Snapshot(), s.Node, bootplan.Asker{LoaderVersion: 1})
	return control.Section{Service: "bootinfo", Text: planText(plan)}
}

// planText is a plan for people.
func planText(p bootplan.Plan) string {
	text := "answer: " + p.Kind.String()
	switch p.Kind {
	case bootplan.Part:
		text += fmt.Sprintf(" %d", p.Partition)
	case bootplan.DiskPart:
		text += fmt.Sprintf(" disk %#x partition %d", p.Disk, p.Partition)
	case bootplan.MFS, bootplan.Multiboot:
		text += " " + p.Path
		if p.Host != "" {
			text += " from " + p.Host
		}
	}
	if p.Cmdline != "" {
		text += fmt.Sprintf(", command line %q", p.Cmdline)
	}
	return text + "\nbecause " + p.Reason
}

// tmcdVersion is the protocol of the newest clients.
const tmcdVersion = 47

// explainTMCD asks what a node asks first, without the effects of asking.
func (a *Appliance) explainTMCD(s control.Subject) control.Section {
	if s.Node == nil {
		return control.Section{Service: "tmcd", Text: "answer: none, because " + tmcd.RefusedUnknown}
	}
	if !s.IP.IsValid() {
		return control.Section{Service: "tmcd", Text: "the node has no control address; nobody would be asked"}
	}
	handler, snapshot := tmcd.NewHandler(), a.reg.Snapshot()
	var text strings.Builder
	for _, command := range []string{"nodeid", "status", "loadinfo"} {
		head := tmcd.Head{Version: tmcdVersion, Word: []byte(command)}
		admitted := handler.Admit(snapshot, tmcd.Request{Head: head, From: s.IP, Transport: tmcd.TCP})
		if admitted.Refused != "" {
			fmt.Fprintf(&text, "%s: no answer, because %s\n", command, admitted.Refused)
			continue
		}
		result, err := admitted.Run(bytes.NewReader(nil))
		if err != nil {
			fmt.Fprintf(&text, "%s: %v\n", command, err)
			continue
		}
		fmt.Fprintf(&text, "%s: %q\n", command, bytes.TrimSpace(result.Reply))
	}
	return control.Section{Service: "tmcd", Text: text.String()}
}

// explainFrisbee says which images a node may fetch.
func (a *Appliance) explainFrisbee(s control.Subject) control.Section {
	if s.Node == nil {
		return control.Section{Service: "frisbee", Text: "answer: none, because the client is no node"}
	}
	snapshot := a.reg.Snapshot()
	var text strings.Builder
	for _, image := range snapshot.Images() {
		ref := plannedVersion(snapshot, s.Node, registry.HeadRef(image.Project, image.Name))
		_, version := snapshot.ImageVersion(ref)
		if version == nil {
			continue
		}
		ref.Version = version.Version
		if why := mayLoad(snapshot, s.Node, image, ref); why != "" {
			fmt.Fprintf(&text, "may have %s: %s\n", ref, why)
		}
	}
	if text.Len() == 0 {
		text.WriteString("may have no image: none is to be loaded, global or its project's")
	}
	return control.Section{Service: "frisbee", Text: text.String()}
}
