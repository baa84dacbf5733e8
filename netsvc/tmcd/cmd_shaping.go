package tmcd

import (
	"strconv"

	"hyzer/storage/registry"
)

// runDelay lists the links that a delay node emulates, one line each with both
// directions.
func runDelay(c *call) {
	for i := range c.who.node.Delays {
		d := &c.who.node.Delays[i]
		c.str("DELAY INT0=", c.delayMAC(d, 0), " INT1=", c.delayMAC(d, 1))
		for end := range 2 {
			c.pipe(&d.Shaping[end], "", strconv.Itoa(end))
		}
		c.str(" LINKNAME=", d.Link, " RED0=", strconv.Itoa(d.Queues[0].RED), " RED1=", strconv.Itoa(d.Queues[1].RED))
		for end := range 2 {
			c.queue(&d.Queues[end], strconv.Itoa(end))
		}
		c.str(" VNODE0=", d.VNodes[0], " VNODE1=", d.VNodes[1], " NOSHAPING=", strconv.Itoa(d.NoShaping),
			" BACKFILL0=", strconv.Itoa(d.Shaping[0].BackfillKbps), " BACKFILL1=", strconv.Itoa(d.Shaping[1].BackfillKbps), "\n")
	}
}

// delayMAC is the address at one end.
func (c *call) delayMAC(d *registry.Delay, end int) string {
	return c.shapedMAC(d.Ports[end], d.Units[end])
}

// shapedMAC is a port's address, or that of the virtual port on it.
func (c *call) shapedMAC(name string, unit int) string {
	for i := range c.who.phys.Virtual {
		if p := &c.who.phys.Virtual[i]; unit != 0 && p.Unit == unit {
			return p.MAC.Hex()
		}
	}
	for i := range c.who.node.Interfaces {
		if p := &c.who.node.Interfaces[i]; p.Name == name {
			return p.MAC.Hex()
		}
	}
	return ""
}

// pipe writes a direction, with the digits that the database prints.
func (c *call) pipe(s *registry.Shaping, prefix, suffix string) {
	c.str(" ", prefix, "PIPE", suffix, "=", strconv.Itoa(s.Pipe), " ", prefix, "DELAY", suffix, "=")
	c.out = strconv.AppendFloat(c.out, s.DelayMs, 'f', 2, 64)
	c.str(" ", prefix, "BW", suffix, "=", strconv.Itoa(s.BandwidthKbps), " ", prefix, "PLR", suffix, "=")
	c.out = strconv.AppendFloat(c.out, s.Loss, 'f', 8, 64)
}

func (c *call) queue(q *registry.Queue, suffix string) {
	c.str(" LIMIT", suffix, "=", strconv.Itoa(q.Limit), " MAXTHRESH", suffix, "=", strconv.Itoa(q.MaxThresh),
		" MINTHRESH", suffix, "=", strconv.Itoa(q.MinThresh), " WEIGHT", suffix, "=")
	c.out = strconv.AppendFloat(c.out, q.Weight, 'g', -1, 64)
	for _, f := range []struct {
		key   string
		value int
	}{
		{"LINTERM", q.LinTerm}, {"QINBYTES", q.QInBytes}, {"BYTES", q.Bytes}, {"MEANPSIZE", q.MeanPktSize},
		{"WAIT", q.Wait}, {"SETBIT", q.SetBit}, {"DROPTAIL", q.DropTail}, {"GENTLE", q.Gentle},
	} {
		c.str(" ", f.key, suffix, "=", strconv.Itoa(f.value))
	}
}

// runLinkDelay lists the shaping that a node does on its own ports.
func runLinkDelay(c *call) {
	for i := range c.who.node.LinkDelays {
		d := &c.who.node.LinkDelays[i]
		c.str("LINKDELAY IFACE=", c.shapedMAC(d.Port, d.Unit), " TYPE=", d.Type, " LINKNAME=", d.Link, " VNODE=", d.VNode,
			" INET=", addr(d.IP), " MASK=", addr(d.Mask))
		c.pipe(&d.Shaping, "", "")
		c.pipe(&d.Return, "R", "")
		c.str(" RED=", strconv.Itoa(d.Queue.RED))
		c.queue(&d.Queue, "")
		c.str("\n")
	}
}
