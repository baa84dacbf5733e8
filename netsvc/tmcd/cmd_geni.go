package tmcd

import "strings"

// Federation's commands answer with one NUL and the value, or two NULs and a
// message. Those that need the federation's own database are unknown here.

func runGeni(c *call) {
	name := string(c.req.Word[len(geniPrefix):])
	is := func(command string) bool { return strings.HasPrefix(name, command) } // as all commands
	switch {
	case is("client_id"):
		c.str("\x00")
		if c.who.allocated() {
			c.str(c.who.nickname())
		}
		c.str("\n")
	case is("control_mac"):
		c.str("\x00", c.controlMAC(), "\n")
	case is("version"):
		c.str("\x001\n")
	case is("commands"):
		c.geniCommands()
	default:
		c.str("\x00\x00unknown request\n")
	}
}

func (c *call) controlMAC() string {
	for i := range c.who.node.Interfaces {
		if p := &c.who.node.Interfaces[i]; p.Role == "ctrl" {
			return p.MAC.Hex()
		}
	}
	return ""
}

// geniCommands lists what a federation may be asked for, also where this site
// is in none, as the C server does.
func (c *call) geniCommands() {
	c.str("\x00{\n")
	for i, cmd := range [...]struct{ name, help string }{
		{"client_id", "Return the experimenter-specified client_id for this node"},
		{"commands", "Show all available commands"},
		{"control_mac", "Show the MAC address of the control interface on this node"},
		{"geni_user", "Show user accounts and public keys installed on this node"},
		{"getversion", "Report the GetVersion output of the aggregate manager that allocated this node"},
		{"manifest", "Show the manifest rspec for the local aggregate sliver"},
		{"slice_email", "Retrieve the e-mail address from the certificate of the slice containing this node"},
		{"slice_urn", "Show the URN of the slice containing this node"},
		{"sliverstatus", "Give the current status of this sliver (AM API v2)"},
		{"status", "Give the current status of this sliver (AM API v3)"},
		{"user_email", "Show the e-mail address of this sliver's creator"},
		{"user_urn", "Show the URN of this sliver's creator"},
		{"portalmanifest", "Show the portal aggregated manifest for the local aggregate sliver"},
	} {
		if i > 0 {
			c.str(",\n")
		}
		c.printf(` %-17s "%s"`, `"`+cmd.name+`":`, cmd.help)
	}
	c.str("\n}\n")
}
