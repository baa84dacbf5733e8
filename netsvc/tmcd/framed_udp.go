package tmcd

import (
	"bytes"
	"net/netip"
	"sync"
	"time"

	"hyzer/netsvc/tmc2"
)

// isFramedDatagram says whether a datagram is one of TMC2.
func isFramedDatagram(data []byte) bool { return bytes.HasPrefix(data, []byte(tmc2.DatagramTag)) }

// framedDatagram answers a TMC2 datagram. What is malformed gets no answer, and
// an unknown node one that is no longer than its request.
func (s *Server) framedDatagram(back asker, data []byte) {
	d, err := tmc2.DecodeDatagram(data)
	if err != nil || d.Flags&tmc2.FlagAnswer != 0 || d.Fragments != 1 {
		return
	}
	var r tmc2.Request
	if tmc2.DecodeRequest(&r, bytes.Clone(d.Payload)) != nil {
		return
	}
	from := back.peer.Addr().Unmap()
	version := Request{Head: Head{Version: tmc2.ReplyVersionUsual}, From: from, Transport: UDP}
	adm := admitFramed(s.handler, s.cfg.Snapshot(), &r, r.Command, version)
	if adm.Refused != "" {
		s.logRefused(&adm, from)
		code := refusalCode(s.cfg.Snapshot(), &r, &adm, from)
		if adm.Refused == RefusedSecret { // a datagram proves nothing
			code = tmc2.CodeUseTCP
		}
		s.datagramAnswer(back, d.ID, nil, code)
		return
	}
	if adm.call.cmd.has(tcpOnly) || adm.Streams {
		s.datagramAnswer(back, d.ID, nil, tmc2.CodeUseTCP)
		return
	}
	result, _ := adm.Run(bytes.NewReader(argsText(&r))) // which never fails
	if len(result.Effects) == 0 && len(result.Reply) <= tmc2.FragmentBytesMax {
		s.datagramAnswer(back, d.ID, result.Reply, replyCode(adm.Command, result.Reply))
		return
	}
	x := s.datagramOnce(back, d.ID)
	switch {
	case x == nil:
	case len(result.Effects) == 0:
		// Fragments of two replies must not become one.
		s.framed.dgrams.settle(x, result.Reply, replyCode(adm.Command, result.Reply))
		s.datagramAnswer(back, d.ID, result.Reply, replyCode(adm.Command, result.Reply))
	default:
		s.datagramEffectsOnce(back, d.ID, &adm, result, x)
	}
}

// datagramOnce books an answer that is to be made once for each (address,
// request id). nil is a repetition, which gets the answer again, or none while
// there is none.
func (s *Server) datagramOnce(back asker, id uint32) *datagramAnswered {
	x, first := s.framed.dgrams.claim(datagramKey{back.peer, id}, time.Now())
	switch {
	case x == nil:
		s.counts.DatagramsDropped.Add(1)
	case first:
		return x
	default:
		if reply, code, ok := s.framed.dgrams.get(x); ok {
			s.datagramAnswer(back, id, reply, code)
		}
	}
	return nil
}

// datagramEffectsOnce answers when the effects are durable.
func (s *Server) datagramEffectsOnce(back asker, id uint32, adm *Admission, result Result, x *datagramAnswered) {
	select {
	case s.slots <- struct{}{}:
	default:
		s.counts.DatagramsDropped.Add(1)
		s.framed.dgrams.forget(x)
		return
	}
	s.work.Go(func() {
		defer func() { <-s.slots }()
		defer s.contain(back.peer.Addr())
		if err := s.execute(adm, &result); err != nil {
			s.cfg.Log.Warn("request not answered", "service", "tmcd", "node", adm.Node, "command", adm.Command, "error", err)
			s.framed.dgrams.forget(x)
			s.datagramAnswer(back, id, nil, failureCode(result.Effects, err))
			return
		}
		s.framed.dgrams.settle(x, result.Reply, doneCode(result.Reply))
		s.datagramAnswer(back, id, result.Reply, doneCode(result.Reply))
	})
}

// datagramAnswer sends an answer in as many datagrams as it needs. A reply that
// the legacy limit has cut, or that needs too many, is for TCP.
func (s *Server) datagramAnswer(back asker, id uint32, reply []byte, code tmc2.Code) {
	fragments := max((len(reply)+tmc2.FragmentBytesMax-1)/tmc2.FragmentBytesMax, 1)
	if fragments > tmc2.FragmentsMax || len(reply) >= udpReplyBytesMax {
		reply, fragments, code = nil, 1, tmc2.CodeUseTCP
	}
	for i := range fragments {
		piece := reply[:min(len(reply), tmc2.FragmentBytesMax)]
		reply = reply[len(piece):]
		d := tmc2.Datagram{Flags: tmc2.FlagAnswer, Fragment: uint16(i), Fragments: uint16(fragments), ID: id, Code: code, Payload: piece}
		if back.reply(tmc2.AppendDatagram(nil, &d)) != nil {
			return // a lost datagram
		}
	}
	s.counts.Replies.Add(1)
}

type datagramKey struct {
	peer netip.AddrPort
	id   uint32
}

// datagramAnswers are those of requests with effects in the last
// datagramAnswerTime.
type datagramAnswers struct {
	mu    sync.Mutex
	byKey map[datagramKey]*datagramAnswered
	queue []*datagramAnswered // oldest first
}

type datagramAnswered struct {
	key   datagramKey
	since time.Time
	done  bool
	reply string
	code  tmc2.Code
}

func newDatagramAnswers() *datagramAnswers {
	return &datagramAnswers{byKey: map[datagramKey]*datagramAnswered{}}
}

// claim returns the answer of a key, and whether the caller has to make it. nil
// is no room: the client asks again.
func (a *datagramAnswers) claim(key datagramKey, now time.Time) (x *datagramAnswered, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.queue) > 0 && now.Sub(a.queue[0].since) > datagramAnswerTime {
		if old := a.queue[0]; a.byKey[old.key] == old {
			delete(a.byKey, old.key)
		}
		a.queue = a.queue[1:]
	}
	if x := a.byKey[key]; x != nil {
		return x, false
	}
	if len(a.queue) >= datagramAnswersMax {
		return nil, false
	}
	x = &datagramAnswered{key: key, since: now}
	a.byKey[key], a.queue = x, append(a.queue, x)
	return x, true
}

func (a *datagramAnswers) get(x *datagramAnswered) (reply []byte, code tmc2.Code, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return []byte(x.reply), x.code, x.done
}

func (a *datagramAnswers) settle(x *datagramAnswered, reply []byte, code tmc2.Code) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x.reply, x.code, x.done = string(reply), code, true
}

func (a *datagramAnswers) forget(x *datagramAnswered) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byKey[x.key] == x {
		delete(a.byKey, x.key)
	}
}
