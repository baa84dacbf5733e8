package tmcd

import "strconv"

// What a node reports: states, results, signs of life. Their replies are
// empty unless said otherwise.

const stateBytesMax = 127

// runState takes one word; more words are ignored. Which names there are is
// for the state machine to say.
func runState(c *call) {
	state := c.arg()
	if state == "" || len(state) > stateBytesMax || !every(state, isNameByte) {
		return
	}
	c.effect(StateReport{Node: c.who.node.ID, States: []string{state}})
}

func runReset(c *call) { c.effect(ResetRequest{Node: c.who.node.ID}) }

// runBootErrno accepts "-- -1" too, which C took for a bad argument.
func runBootErrno(c *call) {
	if n, err := strconv.ParseInt(c.arg(), 10, 32); err == nil {
		c.effect(BootErrno{Node: c.who.node.ID, Errno: int(n)})
	}
}

func runBootLog(c *call) { c.effect(BootLog{Node: c.who.node.ID, Text: c.body}) }

func runStartStatus(c *call) {
	if n, err := strconv.ParseInt(c.arg(), 10, 32); err == nil {
		c.effect(StartStatus{Node: c.who.node.ID, Status: int(n)})
	}
}

func runReady(c *call) {
	if !c.who.vnode {
		c.effect(Ready{Node: c.who.node.ID})
	}
}

// runReadyCount counts nodes of the experiment.
func runReadyCount(c *call) {
	if c.who.vnode {
		return
	}
	members := c.snap.Members(c.who.res.Experiment)
	ready := 0
	for _, id := range members {
		if run := c.snap.Runtime(id); run != nil && run.Ready {
			ready++
		}
	}
	c.str("READY=")
	c.num(ready)
	c.str(" TOTAL=")
	c.num(len(members))
	c.str("\n")
}

// runIsAlive answers whether accounts have changed.
func runIsAlive(c *call) {
	c.effect(Alive{Node: c.who.node.ID})
	if c.who.run.UpdateAccounts > 0 {
		c.str("UPDATE=1\n")
		return
	}
	c.str("UPDATE=0\n")
}
