package sock

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/multicast/igmp"
)

// conn is a Conn on one socket, or on two: clients receive on a socket bound
// to the group and send from one bound to the interface.
type conn struct {
	rx, tx       *net.UDPConn
	rxBatch      *batchReader
	txBatch      *batchReader // nil if rx == tx
	local        netip.AddrPort
	source       []byte     // control message: the source address to use; nil: the socket chooses
	group        netip.Addr // not valid: none
	iface        netip.Addr
	index        int  // of the interface, for IPv6
	segments     bool // the kernel cuts what WriteSegments sends
	segmentBytes int  // what the socket option is set to
	woken        atomic.Bool
	reports      *igmp.Conn // nil: not root, or no group of IPv4
	joinLock     sync.Mutex
	dropped      unix.Msghdr // the writer's
}

func newConn(rx, tx *net.UDPConn, local netip.AddrPort) (*conn, error) {
	c := &conn{rx: rx, tx: tx, local: local, segments: true}
	var err error
	if c.rxBatch, err = newBatchReader(rx); err != nil {
		return c, err
	}
	if tx != rx {
		c.txBatch, err = newBatchReader(tx)
	}
	return c, err
}

func (c *conn) Local() netip.AddrPort { return c.local }

func (c *conn) Close() error {
	err := c.rx.Close()
	if c.reports != nil {
		err = errors.Join(err, c.reports.Close())
	}
	if c.tx != c.rx {
		err = errors.Join(err, c.tx.Close())
	}
	return err
}

// Wake stores the flag before it moves the deadline, and ReadBatch looks at
// the flag after it has set its own: one of them always sees the other.
func (c *conn) Wake() {
	c.woken.Store(true)
	c.rx.SetReadDeadline(time.Unix(1, 0))
}

func (c *conn) ReadBatch(b *Batch, deadline time.Time) error {
	b.Clear()
	if err := c.rx.SetReadDeadline(deadline); err != nil {
		return err
	}
	if c.woken.Swap(false) {
		return ErrWoken
	}
	err := c.rxBatch.read(b, true)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	if c.woken.Swap(false) {
		return ErrWoken
	}
	// Who comes late to its deadline first hears what came in time.
	if late := c.rxBatch.read(b, false); late != nil || len(b.datagrams) > 0 {
		return late
	}
	return err
}

func (c *conn) ReadOwn(b *Batch) error {
	b.Clear()
	if c.txBatch == nil {
		return nil
	}
	return c.txBatch.read(b, false)
}

func (c *conn) Backlog() Backlog { return c.rxBatch.backlog() }

func (c *conn) Write(b []byte, to netip.AddrPort) (err error) {
	for range earlierErrorsMax {
		if _, _, err = c.tx.WriteMsgUDPAddrPort(b, c.source, to); !mayBeEarlier(err) {
			return err
		}
		if raw, err := c.tx.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { dropErrors(fd, &c.dropped) })
		}
	}
	return err
}

func (c *conn) WriteSegments(b []byte, segmentBytes int, to netip.AddrPort) error {
	failed := false
	if c.segments && len(b) > segmentBytes {
		err := c.writeCut(b, segmentBytes, to)
		if !cannotCut(err) {
			return err
		}
		failed = true
		c.segmentBytes = 0
		_ = c.setSegment(0) // fails where there is no such option
	}
	for len(b) > 0 {
		n := min(segmentBytes, len(b))
		if err := c.Write(b[:n], to); err != nil {
			return err
		}
		b = b[n:]
	}
	if failed { // and it was not the interface that is away
		c.segments = false
	}
	return nil
}

func (c *conn) writeCut(b []byte, segmentBytes int, to netip.AddrPort) error {
	if err := c.segmentOption(segmentBytes); err != nil {
		return err
	}
	return c.Write(b, to)
}

// cannotCut says whether the kernel or the interface may lack UDP_SEGMENT.
func cannotCut(err error) bool {
	return errors.Is(err, unix.ENOPROTOOPT) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, unix.EIO) || errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.EOPNOTSUPP)
}
