package bootplan

// Reports lists the states that a node has reached when it is given a plan, in
// order (page bootinfo, "Events"): that it asked, and what it is about to do.
// Nodes that boot by pxelinux report their boot themselves; a machine that is
// told to register is no node of the testbed yet.
func (p *Plan) Reports() []string {
	if p.NewNode {
		return nil
	}
	var states []string
	if p.Boot != PXELinux {
		states = append(states, "PXEBOOTING")
	}
	switch p.Kind {
	case Fail:
	case Wait:
		states = append(states, "PXEWAIT")
	case Reboot:
		states = append(states, "REBOOTING")
	default:
		if p.Boot != PXELinux {
			states = append(states, "BOOTING")
		}
	}
	return states
}
