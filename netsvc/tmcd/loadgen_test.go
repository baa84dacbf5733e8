package tmcd

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/storage/registry"
)

// loadgen makes requests of one connection each, several in flight, from one
// thread and with no more system calls than a client needs, so that a benchmark
// measures the server.
type loadgen struct {
	from     []*unix.SockaddrInet4 // in turn: few ports that rest in TIME_WAIT for each
	to       *unix.SockaddrInet4
	request  []byte
	want     []byte
	inFlight int

	epoll   int
	left    int // to begin
	open    int
	begun   map[int]time.Time
	latency []time.Duration
	got     [64 << 10]byte
}

// loadNodes is how many nodes loadSite has, at 127.0.2.1 and up.
const loadNodes = 64

func loadAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 2, byte(1 + i%loadNodes)}) }

// loadSite is a site with many nodes that have loopback addresses.
func loadSite() *registry.SiteFile {
	site := loopSite()
	for i := range loadNodes {
		id := fmt.Sprint("load", i)
		site.Nodes = append(site.Nodes, registry.Node{ID: id, Type: "t",
			Interfaces: []registry.Interface{{Name: "eth0", Role: registry.InterfaceControl, IP: loadAddr(i)}}})
		site.Reservations = append(site.Reservations, registry.Reservation{Node: id, Experiment: "p/e", VName: id})
	}
	return site
}

func newLoadgen(s *Server, request string, inFlight int) *loadgen {
	to := s.Addrs()[0]
	l := &loadgen{to: &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}, request: []byte(request), inFlight: inFlight}
	for i := range loadNodes {
		l.from = append(l.from, &unix.SockaddrInet4{Addr: loadAddr(i).As4()})
	}
	return l
}

// run makes n requests. It locks its thread.
func (l *loadgen) run(n int) (err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	defer unix.Close(l.epoll)
	l.left, l.begun, l.latency = n, map[int]time.Time{}, make([]time.Duration, 0, n)
	for range min(n, l.inFlight) {
		if err := l.begin(); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 64)
	for l.open > 0 {
		ready, err := unix.EpollWait(l.epoll, events, 10_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || ready == 0 {
			return fmt.Errorf("no answer: %w", err)
		}
		for _, ev := range events[:ready] {
			if err := l.finish(int(ev.Fd)); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin connects and sends. On loopback a connection is there as soon as
// connect returns.
func (l *loadgen) begin() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, l.from[l.left%len(l.from)]); err != nil {
		return err
	}
	start := time.Now()
	if err := unix.Connect(fd, l.to); err != nil {
		return err
	}
	if _, err := unix.Write(fd, l.request); err != nil {
		return err
	}
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return err
	}
	l.left, l.open = l.left-1, l.open+1
	l.begun[fd] = start
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// finish reads a whole reply and begins the next request.
func (l *loadgen) finish(fd int) error {
	size := 0
	for {
		n, err := unix.Read(fd, l.got[size:])
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		size += n
	}
	l.latency = append(l.latency, time.Since(l.begun[fd]))
	delete(l.begun, fd)
	l.open--
	if err := unix.Close(fd); err != nil {
		return err
	}
	if !bytes.HasPrefix(l.got[:size], l.want) {
		return fmt.Errorf("reply %q", l.got[:size])
	}
	if l.left > 0 {
		return l.begin()
	}
	return nil
}
