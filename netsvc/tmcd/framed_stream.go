package tmcd

import (
	"bytes"
	"io"
	"sync"

	"hyzer/netsvc/tmc2"
)

// stream is a request that is not answered yet: its body is still coming, or it
// waits for its lane.
type stream struct {
	conn    *framedConn
	id      uint32
	request tmc2.Request // owns its bytes
	node    string       // whose lane it is in
	// One of these takes the body. text is part of the arguments.
	text  []byte
	pipe  *pipe
	log   *liveStream
	watch *watch

	whole bool // its body has ended
}

// newStream copies the request's bytes: those that were read are used again.
func (c *framedConn) newStream(f tmc2.Frame, node string) *stream {
	st := &stream{conn: c, id: f.Stream, node: node, whole: f.Flags&tmc2.FlagEnd != 0}
	_ = tmc2.DecodeRequest(&st.request, bytes.Clone(f.Payload)) // as before
	return st
}

// breakOff ends a body whose rest will not come.
func (st *stream) breakOff() {
	if st.watch != nil && st.watch.end() {
		st.conn.refuse(st.id, tmc2.CodeGoingAway)
	}
	if st.pipe != nil {
		st.pipe.end(io.ErrUnexpectedEOF)
	}
}

// lane is what is to be done for one node, one after the other. A lane exists
// while it has work.
type lane struct{ jobs []func() }

// enqueue adds to a node's lane.
func (c *framedConn) enqueue(node string, job func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.lanes[node]; l != nil {
		l.jobs = append(l.jobs, job)
		return
	}
	l := &lane{jobs: []func(){job}}
	c.lanes[node] = l
	c.work.Go(func() { c.runLane(node, l) })
}

func (c *framedConn) runLane(node string, l *lane) {
	for {
		c.mu.Lock()
		if len(l.jobs) == 0 {
			delete(c.lanes, node)
			c.mu.Unlock()
			c.relax()
			return
		}
		job := l.jobs[0]
		l.jobs = l.jobs[1:]
		c.mu.Unlock()
		c.contained(job)
		_ = c.out.flush() // the reader sees it fail
	}
}

func (c *framedConn) contained(job func()) {
	done := false
	defer func() {
		if !done {
			c.drain() // what the job was to answer may be missing
		}
	}()
	defer c.s.contain(c.from)
	job()
	done = true
}

// load says how many streams are open, and whether nothing at all is being
// done. A request that is answered in place must be admitted after that was
// seen, or it could miss what one before it has changed.
func (c *framedConn) load() (streams int, idle bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams), len(c.lanes) == 0
}

// keep keeps a stream whose request is not answered at once. If there is no
// place for that it is refused, and nil.
func (c *framedConn) keep(f tmc2.Frame, node string) *stream {
	st := c.newStream(f, node)
	st.text = argsText(&st.request)
	c.mu.Lock()
	ok := c.rouse()
	if ok {
		c.streams[st.id] = st
	}
	c.mu.Unlock()
	if !ok {
		c.refuse(st.id, tmc2.CodeBusy)
		return nil
	}
	return st
}

// keepWatch is keep for a watch, which needs no place. nil is a second one of
// the node: a few nodes shall not have all watches.
func (c *framedConn) keepWatch(f tmc2.Frame, node string) *watch {
	st := c.newStream(f, node)
	st.watch = &watch{st: st, node: node, known: st.request.ETag}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.streams {
		if other.watch != nil && other.node == node {
			return nil
		}
	}
	c.streams[st.id] = st
	c.watching++
	return st.watch
}

func (c *framedConn) close(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := c.streams[id]; st != nil && st.watch != nil {
		c.watching--
	}
	delete(c.streams, id)
}

func (c *framedConn) stream(id uint32) *stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[id]
}

// takeData hands on a piece of a body. Data of a stream that has ended was on
// its way when it did.
func (c *framedConn) takeData(f tmc2.Frame) error {
	st := c.stream(f.Stream)
	if st == nil && f.Stream > c.lastStream {
		return protocolError("DATA on stream %d, which is not open", f.Stream)
	}
	if st == nil {
		return nil
	}
	if st.whole {
		return protocolError("DATA after the end of stream %d", st.id)
	}
	st.whole = f.Flags&tmc2.FlagEnd != 0
	switch {
	case st.log != nil:
		return st.log.take(f.Payload, st.whole)
	case st.pipe != nil:
		if !st.pipe.write(f.Payload) {
			return protocolError("body of stream %d is over its window", st.id)
		}
		if st.whole {
			st.pipe.end(io.EOF)
		}
		return nil
	}
	if len(st.text)+len(f.Payload) > argsBytesMax {
		c.refuse(st.id, tmc2.CodeTooLarge)
		return nil
	}
	if st.text = append(st.text, f.Payload...); st.whole {
		c.enqueue(st.node, st.execute)
	}
	return nil
}

// cancel ends a stream whose body is still coming. One that is being executed
// goes on.
func (c *framedConn) cancel(id uint32) {
	st := c.stream(id)
	if st != nil && st.watch != nil {
		c.cancelWatch(st)
		return
	}
	if st == nil || st.whole {
		return
	}
	st.whole = true
	switch {
	case st.pipe != nil:
		st.breakOff() // its executor answers
	case st.log != nil:
		c.enqueue(st.node, func() { st.log.over(tmc2.CodeCancelled) })
	default:
		c.refuse(id, tmc2.CodeCancelled)
	}
}

// refuse ends a stream without a reply.
func (c *framedConn) refuse(id uint32, code tmc2.Code) {
	c.close(id)
	status := tmc2.Status{Code: code, Retry: retryAfter(code)}
	c.out.answer(id, nil, &status, int(c.peer.PayloadBytes))
}

// pipe carries a body from the connection's reader to the one that executes
// its request, and gives credit for what was taken.
type pipe struct {
	mu     sync.Mutex
	more   *sync.Cond
	buf    []byte
	err    error
	taken  uint64
	said   uint64 // in the last WINDOW
	credit func(position uint64)
}

func newPipe(credit func(uint64)) *pipe {
	p := &pipe{credit: credit}
	p.more = sync.NewCond(&p.mu)
	return p
}

// write adds a piece; false if it is over the window.
func (p *pipe) write(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken+uint64(len(p.buf)+len(b)) > p.said+framedWindowBytes {
		return false
	}
	p.buf = append(p.buf, b...)
	p.more.Signal()
	return true
}

// end says what the reader gets after the last piece.
func (p *pipe) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.more.Signal()
}

func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	for len(p.buf) == 0 && p.err == nil {
		p.more.Wait()
	}
	n := copy(b, p.buf)
	p.buf = p.buf[n:]
	p.taken += uint64(n)
	position := p.taken
	due := p.err == nil && position-p.said >= framedWindowBytes/2
	if due {
		p.said = position
	}
	err := p.err
	over := p.taken > logBytesMax
	p.mu.Unlock()
	if due {
		p.credit(position)
	}
	switch {
	case over:
		return n, errBodyLimits
	case n > 0:
		return n, nil
	}
	return 0, err
}
