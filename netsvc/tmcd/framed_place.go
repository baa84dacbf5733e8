package tmcd

import (
	"cmp"
	"errors"
	"sync"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/tmc2"
)

// place is one of the connections that are served at a time (connectionsMax). A
// connection that rests has given it back. nil is always there.
type place struct {
	slots chan struct{}

	mu   sync.Mutex
	held bool
}

func (p *place) leave() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		p.held = false
		<-p.slots
	}
}

// take takes a place again, if one is free.
func (p *place) take() bool {
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held {
		select {
		case p.slots <- struct{}{}:
			p.held = true
		default:
		}
	}
	return p.held
}

// watchesWithin is how many watches may be open where the process may have so
// many files, each of which is one: beside them there must be files for all
// others.
func watchesWithin(max int, files uint64) int {
	if spare := uint64(connectionsMax + filesOther); files < spare+uint64(max) {
		return int(files - min(spare, files))
	}
	return max
}

// watchesMax is the limit that was set, as far as the process's files allow.
func (cfg *Config) watchesMax() int {
	wanted := cmp.Or(cfg.WatchesMax, WatchesMaxUsual)
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) != nil {
		return wanted
	}
	max := watchesWithin(wanted, files.Cur)
	if max < wanted {
		cfg.Log.Warn("fewer nodes can watch than are allowed to: raise the limit of open files", "service", "tmcd",
			"watches", max, "allowed", wanted, "files", files.Cur, "files_wanted", wanted+connectionsMax+filesOther)
	}
	return max
}

// errNoPlace ends a connection that wants to work again when there are enough
// others.
var errNoPlace = errors.New("tmcd: no place for a connection that has rested")

// relax gives back the place of a connection on which nothing is open but
// watches, and what it does not need while it rests. Thousands of nodes watch at
// a time, and say nothing: they are counted as watches, not as connections.
func (c *framedConn) relax() (resting bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	idle := c.watching > 0 && len(c.streams) == c.watching && len(c.lanes) == 0 && !c.large
	if !idle || c.resting {
		return c.resting
	}
	c.resting = true
	c.out.release()
	c.s.framed.rest()
	c.place.leave()
	return true
}

// rouse takes a place again; false if there is none. The caller holds c.mu.
func (c *framedConn) rouse() bool {
	switch {
	case !c.resting:
	case !c.place.take():
		return false
	case !c.s.framed.wake():
		c.place.leave()
		return false
	}
	c.resting = false
	return true
}

// expect says that a frame of n bytes is being read; false if it is large and
// there is no place for the connection.
func (c *framedConn) expect(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.large = n > framedBufferBytes
	return !c.large || c.rouse()
}

// cancelWatch ends a watch as the client wished. A connection that was kept for
// it goes on as any other, if there is a place.
func (c *framedConn) cancelWatch(st *stream) {
	if !st.watch.end() {
		return // it has ended by itself
	}
	c.refuse(st.id, tmc2.CodeCancelled)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watching == 0 && !c.rouse() {
		c.drain()
	}
}
