package tmcd

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"hyzer/netsvc/tmc2"
)

// commandWatch keeps a stream open on which the node is told when its
// configuration changes or it shall reboot. Who may ask for status may watch.
const commandWatch = "watch"

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
	ctx, cancel := context.WithCancel(context.Background())
	st := c.open(f, adm.Node)
	st.endWatch = cancel
	c.work.Go(func() {
		defer cancel()
		c.contained(func() { st.watch(ctx) })
	})
	return nil
}

// watch says what has changed since the client's etag, and goes on until the
// client or the connection ends. Changes that follow each other fast are one.
func (st *stream) watch(ctx context.Context) {
	c, known, ordered := st.conn, st.request.ETag, uint64(0)
	for {
		moved := c.s.cfg.Moved() // before looking, so that none is missed
		adm := c.admitWord(&st.request, []byte("status"))
		if adm.Refused != "" {
			c.endStream(st, refusalCode(c.s.cfg.Snapshot(), &st.request, &adm, c.from))
			return
		}
		if tag := configTag(adm.call); tag != known {
			known = tag
			c.notify(st.id, tmc2.Notify{Notice: tmc2.NoticeConfig, Generation: tag})
		}
		if order := adm.call.snap.Command(adm.Node); order != nil && order.Generation != ordered {
			ordered = order.Generation
			c.notify(st.id, tmc2.Notify{Notice: tmc2.NoticeReboot, Generation: ordered})
		}
		select {
		case <-moved:
		case <-ctx.Done():
			c.endStream(st, tmc2.CodeCancelled)
			return
		}
		pause(ctx, watchPause)
	}
}

func (c *framedConn) notify(stream uint32, n tmc2.Notify) {
	c.out.message(tmc2.TypeNotify, 0, stream, func(b []byte) []byte { return tmc2.AppendNotify(b, n) })
	_ = c.out.flush() // the reader sees it fail
}

func (c *framedConn) endStream(st *stream, code tmc2.Code) {
	c.refuse(st.id, code)
	_ = c.out.flush()
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
