package tmcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"hyzer/netsvc/tmc2"
	"hyzer/storage/registry"
)

// takeRequest opens a stream. Most requests end here: they are whole, change
// nothing, and nothing is being done on the connection.
func (c *framedConn) takeRequest(f tmc2.Frame) error {
	if f.Stream%2 == 0 || f.Stream <= c.lastStream {
		return protocolError("REQUEST on stream %d after %d", f.Stream, c.lastStream)
	}
	c.lastStream = f.Stream
	r := &c.request
	if err := tmc2.DecodeRequest(r, f.Payload); err != nil {
		return err
	}
	streams, idle := c.load()
	if streams >= framedStreams {
		c.refuse(f.Stream, tmc2.CodeBusy)
		return nil
	}
	if argsBytes(r) > argsBytesMax {
		c.refuse(f.Stream, tmc2.CodeTooLarge)
		return nil
	}
	if string(r.Command) == commandLiveLog {
		return c.openLog(f)
	}
	if string(r.Command) == commandWatch {
		return c.openWatch(f)
	}
	adm := c.admit(r)
	if adm.Refused != "" {
		c.refuseAdmission(f.Stream, r, &adm)
		return nil
	}
	if f.Flags&tmc2.FlagEnd != 0 && !adm.Streams && idle && !c.s.framed.answers.has(c.key(r, adm.Node)) {
		result, err := adm.Run(bytes.NewReader(argsText(r)))
		if err == nil && len(result.Effects) == 0 {
			c.answerPure(f.Stream, r, &adm, result.Reply)
			return nil
		}
	}
	c.openQueued(f, &adm)
	return nil
}

// openQueued puts a request into its node's lane, when it is whole.
func (c *framedConn) openQueued(f tmc2.Frame, adm *Admission) {
	st := c.keep(f, adm.Node)
	if st == nil {
		return
	}
	if adm.Streams {
		st.pipe = newPipe(func(position uint64) { c.window(st.id, position) })
		if st.whole {
			st.pipe.end(io.EOF)
		}
	}
	if st.whole || st.pipe != nil {
		c.enqueue(st.node, st.execute)
	}
}

func (c *framedConn) window(stream uint32, position uint64) {
	c.out.message(tmc2.TypeWindow, 0, stream, func(b []byte) []byte { return tmc2.AppendWindow(b, position) })
	_ = c.out.flush()
}

func (c *framedConn) admit(r *tmc2.Request) Admission { return c.admitWord(r, r.Command) }

// admitWord checks a request as if its command were word.
func (c *framedConn) admitWord(r *tmc2.Request, word []byte) Admission {
	return c.admitTo(c.s.cfg.Snapshot(), r, word)
}

// admitTo is admitWord on a snapshot.
func (c *framedConn) admitTo(snap *registry.Snapshot, r *tmc2.Request, word []byte) Admission {
	return admitFramed(c.s.handler, snap, r, word, Request{Head: Head{Version: int(c.peer.ReplyVersion)},
		From: c.from, Transport: c.transport, Names: c.names, Proven: c.proven(snap)})
}

// admitFramed fills a legacy request from a framed one. Names that no legacy
// request could have are those of unknown nodes.
func admitFramed(h *Handler, snap *registry.Snapshot, r *tmc2.Request, word []byte, req Request) Admission {
	req.Word = word
	req.VNode, req.ProxyFor = string(r.VNode), r.Mode == tmc2.ModeContainer
	req.PrivKey, req.IDKey = string(r.PrivKey), string(r.IDKey)
	if r.HasLoaderVersion {
		version := int(r.LoaderVersion)
		req.LoaderVersion = &version
	}
	return h.Admit(snap, req)
}

// argsText is what follows the command word in the legacy request: each word
// with one space after it.
func argsText(r *tmc2.Request) []byte {
	text := make([]byte, 0, argsBytes(r))
	for _, arg := range r.Args {
		text = append(append(text, arg...), ' ')
	}
	return text
}

func argsBytes(r *tmc2.Request) (n int) {
	for _, arg := range r.Args {
		n += len(arg) + 1
	}
	return n
}

func (c *framedConn) refuseAdmission(stream uint32, r *tmc2.Request, adm *Admission) {
	c.s.logRefused(adm, c.from)
	c.refuse(stream, refusalCode(c.s.cfg.Snapshot(), r, adm, c.from))
}

// answerPure answers a request that has no effects.
func (c *framedConn) answerPure(stream uint32, r *tmc2.Request, adm *Admission, reply []byte) {
	status := tmc2.Status{Code: replyCode(adm.Command, reply)}
	c.answer(stream, r, reply, status)
}

// answer sends a reply, unless the client has it already.
func (c *framedConn) answer(stream uint32, r *tmc2.Request, reply []byte, status tmc2.Status) {
	if r.Flags&tmc2.FlagWantETag != 0 && status.Code.Good() {
		if status.ETag = etag(reply); status.ETag == r.ETag {
			status.Code, reply = tmc2.CodeNotModified, nil
		}
	}
	c.out.answer(stream, reply, &status, int(c.peer.PayloadBytes))
	c.s.counts.Replies.Add(1)
}

// etag names a reply by what it says, so that it is the same after a restart
// and changes when the node would see a change, and only then.
func etag(reply []byte) uint64 {
	sum := sha256.Sum256(reply)
	return max(binary.BigEndian.Uint64(sum[:]), 1)
}

// execute runs a request in its node's lane.
func (st *stream) execute() {
	c, r := st.conn, &st.request
	status, reply := tmc2.Status{Code: tmc2.CodeInternal}, []byte(nil)
	defer func() { // also after a panic
		c.close(st.id)
		c.answer(st.id, r, reply, status)
	}()
	adm := c.admit(r) // again: the state of the node may have moved
	if adm.Refused != "" {
		c.s.logRefused(&adm, c.from)
		status.Code = refusalCode(c.s.cfg.Snapshot(), r, &adm, c.from)
		return
	}
	reply, status.Code = c.s.once(c.key(r, adm.Node), func() ([]byte, tmc2.Code, bool) { return st.run(&adm) })
}

// run executes an admitted request. keep says that its answer must be given
// again if it is repeated.
func (st *stream) run(adm *Admission) (reply []byte, code tmc2.Code, keep bool) {
	result, err := adm.Run(st.body())
	if err != nil {
		return nil, tmc2.CodeInternal, false
	}
	if len(result.Effects) == 0 {
		return result.Reply, replyCode(adm.Command, result.Reply), false
	}
	if st.pipe != nil {
		late := time.AfterFunc(st.conn.s.cfg.Timeouts.Body, func() { st.pipe.end(errBodyLimits) })
		defer late.Stop()
	}
	if err := st.conn.s.execute(adm, &result); err != nil {
		st.conn.s.cfg.Log.Warn("request not answered", "service", "tmcd", "node", adm.Node, "command", adm.Command, "error", err)
		return nil, failureCode(result.Effects, err), false
	}
	return result.Reply, doneCode(result.Reply), true
}

func (st *stream) body() io.Reader {
	text := bytes.NewReader(st.text)
	if st.pipe != nil {
		return io.MultiReader(text, st.pipe)
	}
	return text
}

// refusalCode is why a request was not admitted.
func refusalCode(s *registry.Snapshot, r *tmc2.Request, adm *Admission, from netip.Addr) tmc2.Code {
	switch adm.Refused {
	case RefusedUnknown:
		if len(r.VNode) > 0 && len(r.PrivKey)+len(r.IDKey) == 0 {
			if _, known := s.NodeByIP(from); known {
				return tmc2.CodeStaleVNode
			}
		}
		return tmc2.CodeUnknownNode
	case RefusedControl, RefusedRemote, RefusedSecret:
		return tmc2.CodeNeedsTLS
	case RefusedCommand:
		return tmc2.CodeUnknownCommand
	case RefusedRemoteUDP:
		return tmc2.CodeUseTCP
	case RefusedFree:
		return tmc2.CodeFree
	case RefusedTPM:
		return tmc2.CodeNeedsTPM
	}
	return tmc2.CodeDenied
}

// replyCode is that of a request without effects. Commands that report
// something have an effect, if what they report is well formed.
func replyCode(command string, reply []byte) tmc2.Code {
	reports := []string{"state", "booterrno", "startstatus", "startstat", "hostinfo", "hostkeys", "ntpdrift", "rusage", "battery"}
	if len(reply) == 0 && slices.Contains(reports, command) {
		return tmc2.CodeBadArgument
	}
	return doneCode(reply)
}

func doneCode(reply []byte) tmc2.Code {
	if len(reply) == 0 {
		return tmc2.CodeEmpty
	}
	return tmc2.CodeOK
}

// failureCode says what kind of effect could not be made durable.
func failureCode(effects []Effect, err error) tmc2.Code {
	switch {
	case errors.Is(err, errBodyLimits):
		return tmc2.CodeTooLarge
	case errors.Is(err, io.ErrUnexpectedEOF):
		return tmc2.CodeCancelled
	case errors.Is(err, context.DeadlineExceeded):
		return tmc2.CodeTimeout
	}
	switch effects[0].(type) {
	case StateReport, BootReport:
		return tmc2.CodeEvent
	}
	return tmc2.CodeBackend
}

// loaderVersion is what bootwhat tells bootplan.Asker.
func (r *Request) loaderVersion() int {
	if r.LoaderVersion == nil {
		return 1
	}
	return *r.LoaderVersion
}
