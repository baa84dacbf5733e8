package tmcd

import (
	"bytes"
	"context"
	"errors"
	"strconv"

	"hyzer/netsvc/lifecycle/bootplan"
	"hyzer/storage/registry"
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
		c.effect(BootReport{Node: c.who.node.ID, States: states, Asked: c.snap.Revision()})
	}
}

// errMovedAway is for a node that was another's, or gone, before it was answered.
var errMovedAway = errors.New("tmcd: the node was deleted or changed while it asked what to boot; it is to ask again")

// answerBoot records what follows from an answer of bootwhat, and puts the
// answer in result that this is about: it is taken again from records that are
// read after the report was announced, so that an order that does not wait for
// the report is in them (netsvc/bootinfo has the same race).
func (s *Server) answerBoot(ctx context.Context, adm *Admission, result *Result, first BootReport) error {
	record := s.cfg.Effects.Expect(first.Node, sourceName)
	again, now := adm.again(s.cfg.Snapshot())
	if again.Refused != "" || again.Node != first.Node {
		_, _ = record(ctx, 0)
		return errMovedAway
	}
	var report BootReport // of nothing, where there is nothing to boot by now
	if len(now.Effects) > 0 {
		report = now.Effects[0].(BootReport)
	}
	if _, err := record(ctx, report.Asked, report.States...); err != nil {
		return err
	}
	*result = now
	return nil
}

// again runs an admitted request that does not stream on another snapshot.
func (a *Admission) again(s *registry.Snapshot) (Admission, Result) {
	req := a.call.req
	req.Word = []byte(a.Command) // what was received may be gone
	adm := a.call.h.Admit(s, req)
	result, _ := adm.Run(bytes.NewReader(a.call.args)) // which never fails
	return adm, result
}
