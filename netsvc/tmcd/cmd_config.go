package tmcd

import (
	"strconv"
	"strings"
)

// What an allocated node is told to install and run.

func runStartupCmd(c *call) {
	if cmd := c.who.run.StartupCmd; cmd != "" {
		c.str("CMD='", cmd, "' UID=", c.who.expt.Swapper, "\n")
	}
}

func runRPMs(c *call) {
	if c.who.tainted("blackbox") || c.who.tainted("useronly") {
		return
	}
	for _, path := range splitList(c.who.run.RPMs) {
		c.fetchFrom()
		c.str("RPM=", path, "\n")
	}
}

// runTarballs lists "directory file" pairs.
func runTarballs(c *call) {
	if c.who.tainted("blackbox") {
		return
	}
	for _, pair := range splitList(c.who.run.Tarballs) {
		dir, file, _ := strings.Cut(pair, " ")
		c.fetchFrom()
		c.str("DIR=", dir, " TARBALL=", file, "\n")
	}
}

func splitList(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ':' })
}

// fetchFrom says where to fetch from if the file is not mounted.
func (c *call) fetchFrom() {
	if c.v(36) {
		c.str("SERVER=", c.snap.Site().BossName, " ")
	}
	if c.v(37) {
		useWeb := c.who.nfsMounts() == mountsNone || c.who.vnode && c.who.shared
		c.str("USEWEB=", zeroOne(useWeb), " ")
	}
}

// runSDParams is a constant of the C server.
func runSDParams(c *call) { c.str("reg=300 agg=5 load=1 expt=5 ctl=1000\n") }

// runWatchdogInfo gives the intervals of the node's watchdog in seconds; the
// site's variables are in minutes.
func runWatchdogInfo(c *call) {
	interval := c.minutes("watchdog/interval")
	if interval < 0 {
		return // the site has no watchdog
	}
	alive, cvsup := "watchdog/isalive/local", 0
	drift, hostKeys := c.minutes("watchdog/ntpdrift"), c.minutes("watchdog/hostkeys")
	switch {
	case c.who.vnode:
		alive, drift, hostKeys = "watchdog/isalive/vnode", 0, 0
	case !c.who.local:
		alive, cvsup = "watchdog/isalive/wa", c.minutes("watchdog/cvsup")
	}
	for _, f := range []struct {
		key  string
		secs int
	}{
		{"INTERVAL=", interval}, {" ISALIVE=", c.minutes(alive)}, {" NTPDRIFT=", drift}, {" CVSUP=", cvsup},
		{" RUSAGE=", c.minutes("watchdog/rusage")}, {" HOSTKEYS=", hostKeys},
		{" DHCPDCONF=", c.minutes("watchdog/dhcpdconf")},
	} {
		c.str(f.key, strconv.Itoa(f.secs))
	}
	if c.v(29) {
		c.str(" SETROOTPSWD=", strconv.Itoa(c.minutes("watchdog/rootpswd")))
	}
	c.str("\n")
}

// minutes is a site variable in seconds, -1 if there is none.
func (c *call) minutes(name string) int {
	value, ok := c.snap.Site().Vars[name]
	if !ok {
		return -1
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return -1
	}
	return n * 60
}
