package bootplan

import (
	"strings"

	"hyzer/storage/registry"
)

// Client is a machine's boot firmware as it describes itself to DHCP (shared
// specs, page pxe-dhcp, sections 5 to 8).
type Client struct {
	// Class is a key of Site.BootFiles: "bios", "efi-ia32", "efi-x64",
	// "efi-arm32", "efi-arm64", "http-x64", "http-arm64" ..., or "ipxe".
	Class string
	// Fallback is tried when the site names no file for Class.
	Fallback string
}

// BootFile is what DHCP tells the firmware to fetch.
type BootFile struct {
	Name   string // path or URL; "" says nothing
	Reason string
}

// defaultBootFile is what Emulab's DHCP template names.
const defaultBootFile = "/tftpboot/pxeboot.emu"

// File decides which boot program a machine fetches. A nil node is unknown to
// the registry.
func File(s *registry.Snapshot, node *registry.Node, client Client) BootFile {
	if node != nil {
		if f, ok := nodeFile(s, node); ok {
			return f
		}
	}
	files := s.Site().BootFiles
	for _, class := range []string{client.Class, client.Fallback} {
		if name := files[class]; name != "" {
			return BootFile{name, "site's boot file for " + class}
		}
	}
	if client.Class == "bios" {
		return BootFile{defaultBootFile, "built-in boot file for bios"}
	}
	return BootFile{"", "the site names no boot file for " + client.Class}
}

// nodeFile is the order of Emulab's dhcpd_makeconf (page bootinfo, section 5).
func nodeFile(s *registry.Snapshot, node *registry.Node) (BootFile, bool) {
	if s.Attribute(node, attrBootMethod) == "pxelinux" {
		return BootFile{"", "boot_method pxelinux names no file here"}, true
	}
	var next, path string
	if boot := s.Boot(node.ID); boot != nil {
		next, path = boot.NextPXEPath, boot.PXEPath
	}
	for _, c := range []struct{ name, why string }{
		{next, "the node's next_pxe_path"},
		{path, "the node's pxe_path"},
		{node.BootPath, "the node's boot_path"},
		{s.Attribute(node, attrPXEPath), "attribute " + attrPXEPath},
	} {
		if c.name != "" && SafePath(c.name) {
			return BootFile{c.name, c.why}, true
		}
	}
	return BootFile{}, false
}

// SafePath says whether a configured boot path stays below /tftpboot.
func SafePath(path string) bool {
	return strings.HasPrefix(path, "/tftpboot/") && !strings.Contains(path, "..")
}
