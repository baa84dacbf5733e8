package tmcd

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"hyzer/netsvc/tmc2"
	"hyzer/storage/registry"
)

// commandWatch keeps a stream open on which the node is told when its
// configuration changes, it shall reboot, or somebody wants its log. Who may ask
// for status may watch.
const commandWatch = "watch"

// watches are all that are open. One goroutine looks at them when the registry
// has moved, so that a watch that nothing happens to is a record and no more.
type watches struct {
	max int

	mu     sync.Mutex
	all    map[*watch]struct{}
	wishes uint64 // number of the last
}

func newWatches(max int) watches { return watches{max: max, all: map[*watch]struct{}{}} }

// add takes a watch, unless there are too many.
func (s *watches) add(w *watch) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= s.max {
		return false
	}
	s.all[w] = struct{}{}
	return true
}

func (s *watches) remove(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, w)
}

// list appends all to a slice.
func (s *watches) list(all []*watch) []*watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.all {
		all = append(all, w)
	}
	return all
}

func (s *watches) wish() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wishes++
	return s.wishes
}

// watch is one node's.
type watch struct {
	st   *stream
	node string

	mu      sync.Mutex
	ended   bool
	seen    sight
	known   uint64 // etag that the client has
	ordered uint64 // generation of the order that it was told
}

// sight is what a watch last saw. While the site and the node's own records are
// the same there is nothing new in them.
type sight struct {
	snap *registry.Snapshot
	who  *caller
	own  ownRecords
}

// openWatch takes the request for a watch.
func (c *framedConn) openWatch(f tmc2.Frame) error {
	adm := c.admitWord(&c.request, []byte("status"))
	switch {
	case adm.Refused != "":
		c.refuseAdmission(f.Stream, &c.request, &adm)
		return nil
	case c.s.cfg.Moved == nil:
		c.refuse(f.Stream, tmc2.CodeUnknownCommand)
		return nil
	case f.Flags&tmc2.FlagEnd == 0:
		return protocolError("watch on stream %d has a body", f.Stream)
	}
	w := c.keepWatch(f, adm.Node)
	if w == nil {
		c.refuse(f.Stream, tmc2.CodeBadArgument)
		return nil
	}
	if !c.s.framed.watches.add(w) {
		w.ended = true
		c.refuse(f.Stream, tmc2.CodeBusy)
		return nil
	}
	w.look(&passing{snap: c.s.cfg.Snapshot()}) // after it was added: what comes later is seen in a pass
	return nil
}

// end says whether the watch was open until now.
func (w *watch) end() bool {
	w.mu.Lock()
	ended := w.ended
	w.ended = true
	w.mu.Unlock()
	w.st.conn.s.framed.watches.remove(w)
	return !ended
}

// watchLoop tells nodes what has changed for them until ctx ends. Changes that
// follow each other fast are one. A change of what all nodes share makes a pass
// long; passes take a fifth of one processor at most.
func (s *Server) watchLoop(ctx context.Context) {
	var all []*watch
	p := &passing{}
	for {
		moved, began := s.cfg.Moved(), time.Now() // before looking, so that none is missed
		p.next(s.cfg.Snapshot())
		all = s.framed.watches.list(all[:0])
		for i, w := range all {
			s.lookAt(w, p)
			all[i] = nil
		}
		spent := time.Since(began)
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
		pause(ctx, max(watchPause, watchRest*spent))
	}
}

// lookAt ends a connection whose watch cannot be looked at.
func (s *Server) lookAt(w *watch, p *passing) {
	w.st.conn.contained(func() { w.look(p) })
}

// passing is one look at all watches. Nearly all of them last saw the same
// snapshot, so that it is compared once.
type passing struct {
	snap, before *registry.Snapshot
	same         bool // the site of both is the same
}

func (p *passing) next(snap *registry.Snapshot) { *p = passing{snap: snap} }

func (p *passing) sameSite(before *registry.Snapshot) bool {
	if before == p.snap {
		return true
	}
	if before != p.before {
		p.before, p.same = before, before.SameSite(p.snap)
	}
	return p.same
}

// look tells the client what is new since its last.
func (w *watch) look(p *passing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.st.conn
	if w.ended || w.seen.snap != nil && w.seen.snap.Revision() > p.snap.Revision() {
		return
	}
	var told []tmc2.Notify
	if !w.unchanged(p) {
		adm := c.admitTo(p.snap, &w.st.request, []byte("status"))
		if adm.Refused != "" {
			w.refused(p.snap, &adm)
			return
		}
		w.seen = sight{p.snap, adm.call.who, ownRecordsOf(p.snap, adm.call.who)}
		if tag := configTag(adm.call); tag != w.known {
			w.known = tag
			told = append(told, tmc2.Notify{Notice: tmc2.NoticeConfig, Generation: tag})
		}
	}
	if order := p.snap.Command(w.node); order != nil && order.Generation != w.ordered {
		w.ordered = order.Generation
		told = append(told, tmc2.Notify{Notice: tmc2.NoticeReboot, Generation: w.ordered})
	}
	w.tell(told...)
}

// unchanged says whether all that configTag is made of is as it was seen.
func (w *watch) unchanged(p *passing) bool {
	if w.seen.snap == nil || !p.sameSite(w.seen.snap) || ownRecordsOf(p.snap, w.seen.who) != w.seen.own {
		return false
	}
	w.seen.snap = p.snap // and hold no old one
	return true
}

// refused ends the watch of a node that may not ask any more. The caller holds
// w.mu.
func (w *watch) refused(snap *registry.Snapshot, adm *Admission) {
	c := w.st.conn
	w.ended = true
	c.s.framed.watches.remove(w)
	code := refusalCode(snap, &w.st.request, adm, c.from)
	c.work.Go(func() { // begun while the stream is open, so that the connection's end waits for it
		c.refuse(w.st.id, code)
		_ = c.out.flush()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.resting && c.watching == 0 { // nobody counts it any more
			c.drain()
		}
	})
}

// tell sends notices without waiting for the client. The caller holds w.mu, and
// the watch is open: its connection waits for no work yet.
func (w *watch) tell(notices ...tmc2.Notify) {
	if len(notices) == 0 {
		return
	}
	c := w.st.conn
	for _, n := range notices {
		c.out.message(tmc2.TypeNotify, 0, w.st.id, func(b []byte) []byte { return tmc2.AppendNotify(b, n) })
	}
	c.work.Go(func() { _ = c.out.flush() }) // the reader sees it fail
}

// WantLog asks a node for its boot log (NOTIFY 3), and says how many watches
// were asked: none is a node that does not watch. A node sends what it has of
// its last boot, as any boot log.
func (s *Server) WantLog(node string) (asked int) {
	wish := tmc2.Notify{Notice: tmc2.NoticeLog, Generation: s.framed.watches.wish()}
	for _, w := range s.framed.watches.list(nil) {
		if w.node == node && w.wanted(wish) {
			asked++
		}
	}
	return asked
}

func (w *watch) wanted(wish tmc2.Notify) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	w.tell(wish)
	return true
}

// configTag names what a node is told of itself: its status and all of its
// fullconfig that does not change with each asking. It stays over restarts.
func configTag(c *call) uint64 {
	sum := sha256.New()
	runStatus(c)
	sum.Write(c.out)
	if c.who.allocated() {
		full := call{h: c.h, snap: c.snap, req: c.req, who: c.who, cmd: c.h.table.find([]byte(commandFullConfig))}
		for _, part := range full.kept().parts {
			sum.Write(part.text)
		}
	}
	return max(binary.BigEndian.Uint64(sum.Sum(nil)), 1)
}
