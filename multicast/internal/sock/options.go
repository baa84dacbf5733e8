package sock

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// control runs f on the sending or receiving socket's descriptor.
func (c *conn) control(onSend bool, f func(fd int) error) error {
	u := c.rx
	if onSend {
		u = c.tx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// segmentOption makes the kernel cut what is written at segmentBytes. It is
// sticky, and harmless to shorter datagrams, so it is set only once.
func (c *conn) segmentOption(segmentBytes int) error {
	if c.segmentBytes == segmentBytes {
		return nil
	}
	if err := c.setSegment(segmentBytes); err != nil {
		return err
	}
	c.segmentBytes = segmentBytes
	return nil
}

func (c *conn) setSegment(segmentBytes int) error {
	return c.control(true, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT, segmentBytes)
	})
}

func (c *conn) join() error {
	err := c.control(false, func(fd int) error {
		if c.group.Is6() {
			return c.membership6(fd, unix.IPV6_JOIN_GROUP)
		}
		return c.membership4(fd, unix.IP_ADD_MEMBERSHIP)
	})
	if err != nil {
		return fmt.Errorf("joining the group: %w", err)
	}
	return nil
}

func (c *conn) membership4(fd, option int) error {
	return unix.SetsockoptIPMreq(fd, unix.IPPROTO_IP, option, &unix.IPMreq{Multiaddr: c.group.As4(), Interface: c.iface.As4()})
}

// Rejoin reports the membership, if we may: at a leave switches stop sending
// until they have asked.
func (c *conn) Rejoin() error {
	if !c.group.IsValid() {
		return nil
	}
	c.joinLock.Lock()
	defer c.joinLock.Unlock()
	if c.reports == nil {
		return c.renew()
	}
	if err := c.reports.While(c.group, c.renew); err != nil {
		return err
	}
	if c.reports.Report(c.group) != nil {
		return c.renew()
	}
	return nil
}

// renew leaves the group and joins it again. An interface that was without its
// address for a moment, or has come anew, is in no group, whatever the socket
// takes it for.
func (c *conn) renew() error {
	through := c.through4
	// It fails if the interface has another number by now: that one was left.
	if c.group.Is4() {
		_ = c.control(false, func(fd int) error { return c.membership4(fd, unix.IP_DROP_MEMBERSHIP) })
	} else {
		_ = c.control(false, func(fd int) error { return c.membership6(fd, unix.IPV6_LEAVE_GROUP) })
		through = c.through6
		if index, err := interfaceIndex(c.iface); err == nil {
			c.index = index
		}
	}
	if err := c.join(); err != nil {
		return err
	}
	return c.control(true, through)
}

// through4 makes the interface that has the address now the one to send to
// groups through.
func (c *conn) through4(fd int) error {
	return unix.SetsockoptInet4Addr(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, c.iface.As4())
}
