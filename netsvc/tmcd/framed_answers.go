package tmcd

import (
	"container/list"
	"sync"

	"hyzer/netsvc/tmc2"
)

// answerKey names a request so that its repetition is known.
type answerKey struct {
	node string
	boot tmc2.BootID
	id   uint64
}

// key is that of a request; of a client without boot id it is empty, and its
// requests are all new.
func (c *framedConn) key(r *tmc2.Request, node string) answerKey {
	if c.peer.BootID == (tmc2.BootID{}) {
		return answerKey{}
	}
	return answerKey{node, c.peer.BootID, r.ID}
}

// answers are those of requests with effects, the last few of each node. They
// are not stored: after a restart of the server a repeated request is executed
// again. Every effect puts the same value again, appends nothing twice (live
// logs have offsets) or is a report that the state machine takes twice, so a
// repetition then is what it always was with the legacy protocol.
type answers struct {
	mu     sync.Mutex
	byKey  map[answerKey]*answered
	byNode map[string]*list.List // of *answered, oldest first
	all    *list.List            // the same of all nodes
	bytes  int
}

// answered is one answer, or one to come.
type answered struct {
	key    answerKey
	done   chan struct{} // closed when reply and code are there
	reply  []byte
	code   tmc2.Code
	kept   bool // its reply is in answers.bytes
	inNode *list.Element
	inAll  *list.Element
}

func newAnswers() *answers {
	return &answers{byKey: map[answerKey]*answered{}, byNode: map[string]*list.List{}, all: list.New()}
}

func (a *answers) has(key answerKey) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byKey[key] != nil
}

// claim returns the answer of a key. first says that the caller has to execute
// the request and call settle.
func (a *answers) claim(key answerKey) (x *answered, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if x = a.byKey[key]; x != nil {
		return x, false
	}
	x = &answered{key: key, done: make(chan struct{}), code: tmc2.CodeInternal}
	ofNode := a.byNode[key.node]
	if ofNode == nil {
		ofNode = list.New()
		a.byNode[key.node] = ofNode
	}
	a.byKey[key], x.inNode, x.inAll = x, ofNode.PushBack(x), a.all.PushBack(x)
	if ofNode.Len() > answersPerNodeMax {
		a.forget(ofNode.Front().Value.(*answered))
	}
	if a.all.Len() > answersMax {
		a.forget(a.all.Front().Value.(*answered))
	}
	return x, true
}

// settle fills an answer in. One that is not kept is given only to those who
// wait for it already.
func (a *answers) settle(x *answered, keep bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	close(x.done)
	if !keep || len(x.reply) > answerBytesMax {
		a.forget(x)
		return
	}
	if a.byKey[x.key] == x {
		a.bytes, x.kept = a.bytes+len(x.reply), true
	}
	for a.bytes > answersBytesMax {
		a.forget(a.all.Front().Value.(*answered))
	}
}

func (a *answers) forget(x *answered) {
	if a.byKey[x.key] != x {
		return
	}
	delete(a.byKey, x.key)
	if x.kept {
		a.bytes -= len(x.reply)
	}
	ofNode := a.byNode[x.key.node]
	if ofNode.Remove(x.inNode); ofNode.Len() == 0 {
		delete(a.byNode, x.key.node)
	}
	a.all.Remove(x.inAll)
}

// once runs a request unless it was run before; then its answer is given again.
func (s *Server) once(key answerKey, run func() (reply []byte, code tmc2.Code, keep bool)) ([]byte, tmc2.Code) {
	if key == (answerKey{}) {
		reply, code, _ := run()
		return reply, code
	}
	x, first := s.framed.answers.claim(key)
	if !first {
		<-x.done
		return x.reply, x.code
	}
	keep := false
	defer func() { s.framed.answers.settle(x, keep) }() // also after a panic
	x.reply, x.code, keep = run()
	return x.reply, x.code
}
