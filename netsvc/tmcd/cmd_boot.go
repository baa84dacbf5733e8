package tmcd

import (
	"strconv"

	"hyzer/netsvc/lifecycle/bootplan"
)

// Types of bootinfo's answer (shared specs, page bootinfo, section 2).
const (
	whatPart      = 1
	whatMultiboot = 3
	whatWait      = 4
	whatReboot    = 5
	whatMFS       = 7
	whatDiskPart  = 9

	flagSecure = 2 // the system wants a trusted boot chain
)

// runBootwhat is bootinfo in text, for clients that boot from a dongle and for
// virtual nodes. A machine that asks is booting: that is reported as bootinfo
// reports it, but without its limit of one report in ten seconds.
func runBootwhat(c *call) {
	plan := bootplan.Resolve(c.snap, c.who.node, bootplan.Asker{LoaderVersion: c.req.loaderVersion()})
	c.bootEvents(&plan)
	kind, what := whatToBoot(&plan)
	if kind == 0 {
		c.str("STATUS=failed\n")
		return
	}
	c.str("STATUS=success TYPE=", strconv.Itoa(kind))
	if c.v(35) {
		flags := 0
		if plan.Kind == bootplan.MFS && plan.Secure {
			flags = flagSecure
		}
		c.str(" FLAGS=", strconv.Itoa(flags))
	}
	if what != "" {
		c.str(" WHAT=", what)
	}
	if plan.Cmdline != "" {
		c.str(" CMDLINE='", plan.Cmdline, "'")
	}
	c.str("\n")
}

// whatToBoot gives the type and WHAT; types 3 and 9 have none in text.
func whatToBoot(plan *bootplan.Plan) (kind int, what string) {
	switch plan.Kind {
	case bootplan.Part:
		return whatPart, strconv.Itoa(plan.Partition)
	case bootplan.Multiboot:
		return whatMultiboot, ""
	case bootplan.Wait:
		return whatWait, ""
	case bootplan.Reboot:
		return whatReboot, ""
	case bootplan.MFS:
		if plan.Host == "" {
			return whatMFS, plan.Path
		}
		return whatMFS, plan.Host + ":" + plan.Path
	case bootplan.DiskPart:
		return whatDiskPart, ""
	}
	return 0, ""
}

// bootEvents reports what a machine is about to do.
func (c *call) bootEvents(plan *bootplan.Plan) {
	if states := plan.Reports(); len(states) > 0 && !c.who.vnode {
		c.effect(StateReport{Node: c.who.node.ID, States: states})
	}
}
