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
	if c.reports != nil && c.reports.Report(c.group) == nil {
		return nil
	}
	err := c.control(false, func(fd int) error {
		if c.group.Is6() {
			return c.membership6(fd, unix.IPV6_LEAVE_GROUP)
		}
		return c.membership4(fd, unix.IP_DROP_MEMBERSHIP)
	})
	if err != nil {
		return fmt.Errorf("leaving the group to join it again: %w", err)
	}
	return c.join()
}
