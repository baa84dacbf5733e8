package tftp

import (
	"container/heap"
	"net/netip"
	"time"

	"hyzer/netsvc/bootfiles"
)

const (
	lingerTime      = time.Second // an ended transfer still swallows late ACKs
	repeatQuietTime = time.Second // a request repeated this soon after progress is a copy
)

// session is one transfer in a shard, from its request until its TID is
// forgotten. Guarded by shard.mu but for the fields set at birth.
type session struct {
	client  netip.AddrPort
	to      socketName // the same for the kernel
	request string     // the packet, to know a repeated one
	name    string
	offer   offer
	began   time.Time
	source  []byte // control message: our address
	segment []byte // the same and the segment size; nil: one send a packet

	machine  *transfer // nil: the file is being opened
	file     bootfiles.File
	progress time.Time // last ACK that moved the transfer
	over     bool      // lingers only to swallow late ACKs
	wakeAt   time.Time // its place in the heap, at or before the machine's deadline
	index    int
}

// admission says what became of a request.
type admission int

const (
	admitted  admission = iota
	isRepeat            // a copy of a request that is being served
	overLimit           // no place for one more transfer, in all or of this client
)

// admit enters a new request. A client that starts again from the same port
// replaces its old transfer: ROMs count ports from the same start at each boot.
func (h *shard) admit(s *session) (a admission) {
	h.locked(func(now time.Time) {
		if old := h.sessions[s.client]; old != nil {
			if isCopy(old, s, now) {
				a = isRepeat
				return
			}
			if !old.over {
				h.end(now, old, Transfer{Err: errReplaced})
			}
			h.forget(old)
		}
		if h.closed || !h.server.takeSlot(s.client.Addr()) {
			a = overLimit
			return
		}
		h.sessions[s.client] = s
	})
	return a
}

func isCopy(old, s *session, now time.Time) bool {
	if old.over || old.request != s.request {
		return false
	}
	isUnder := old.machine == nil || !old.machine.answered
	return isUnder || now.Sub(old.progress) < repeatQuietTime
}

// start begins the transfer of an admitted session. It takes over the file.
func (h *shard) start(s *session, f bootfiles.File, t terms) {
	h.locked(func(now time.Time) {
		if s.over { // replaced or shut down while the file was opened
			f.Close()
			return
		}
		s.file, s.machine, s.progress = readAhead(f, t.window*t.blockBytes), newTransfer(t), now
		if t.window > 1 {
			s.segment = segmentControl(s.source, t.blockBytes+dataHeaderBytes)
		}
		h.obey(now, s, s.machine.start(now))
	})
}

// refuse ends an admitted session before its transfer began.
func (h *shard) refuse(s *session, r refusal, err error) {
	h.locked(func(now time.Time) {
		if s.over {
			return
		}
		h.out.packet(&s.to, s.source, r.packet())
		h.end(now, s, Transfer{Refused: true, Err: err})
		h.forget(s)
	})
}

// end closes a session's file and books it. Its TID lingers, so that a late
// ACK is not answered with an error that would hit the client's next transfer.
func (h *shard) end(now time.Time, s *session, t Transfer) {
	t.Client, t.Name, t.Duration = s.client, s.name, now.Sub(s.began)
	if s.machine != nil {
		t.Bytes, t.Size, t.Retransmits = s.machine.bytesAcked(), s.machine.fileBytes, s.machine.retransmits
	}
	if s.file != nil {
		s.file.Close()
		s.file = nil
	}
	s.over = true
	h.server.releaseSlot(s.client.Addr())
	h.finished = append(h.finished, t)
	h.wake(s, now.Add(lingerTime))
}

// forget drops a session that is over.
func (h *shard) forget(s *session) {
	if s.index >= 0 {
		heap.Remove(&h.timers, s.index)
	}
	if h.sessions[s.client] == s {
		delete(h.sessions, s.client)
	}
}

// shutdown ends every transfer and then the reader.
func (h *shard) shutdown() {
	h.locked(func(now time.Time) {
		h.closed = true
		for _, s := range h.sessions {
			if !s.over {
				h.out.packet(&s.to, s.source, refusal{CodeUndefined, "server is shutting down"}.packet())
				h.end(now, s, Transfer{Err: errShutdown})
			}
		}
	})
	h.socket.Close()
}
