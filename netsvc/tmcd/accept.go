package tmcd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// acceptorsMax is how many sockets share an address, one loop each.
	acceptorsMax = 4
	// acceptPause is how long accepting rests when the process is out of files.
	acceptPause = 100 * time.Millisecond
	// deferSecs is how long the kernel keeps a connection on which nothing was
	// said. Most of them never cost us more.
	deferSecs = 1
)

// listener is one of the sockets of an address.
type listener struct {
	addr netip.AddrPort
	file *os.File
	raw  syscall.RawConn
}

// listenTCP takes an address. The first socket takes it alone, so that one in
// use is an error; only then are the others let in.
func listenTCP(addr netip.AddrPort) ([]*listener, error) {
	first, err := newListener(addr, func(fd int) error { return nil })
	if err != nil {
		return nil, err
	}
	listeners := []*listener{first}
	shared := func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }
	if err := control(first.raw, shared); err != nil {
		return listeners, err
	}
	for range min(runtime.GOMAXPROCS(0), acceptorsMax) - 1 {
		l, err := newListener(first.addr, shared)
		if err != nil {
			return listeners, err
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func newListener(addr netip.AddrPort, prepare func(fd int) error) (*listener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return control(raw, func(fd int) error {
			return errors.Join(prepare(fd), unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_DEFER_ACCEPT, deferSecs))
		})
	}}
	socket, err := config.Listen(context.Background(), "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	defer socket.Close() // the file is the same socket, and can be accepted on without a connection object each
	l := &listener{addr: socket.Addr().(*net.TCPAddr).AddrPort()}
	if l.file, err = socket.(*net.TCPListener).File(); err != nil {
		return nil, err
	}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		l.file.Close()
		return nil, err
	}
	return l, nil
}

func control(raw syscall.RawConn, do func(fd int) error) error {
	var err error
	ctlErr := raw.Control(func(fd uintptr) { err = do(int(fd)) })
	return errors.Join(ctlErr, err)
}

// accept waits for a connection. It does not block.
func (l *listener) accept() (fd int, from netip.Addr, err error) {
	var sa unix.Sockaddr
	waitErr := l.raw.Read(func(socket uintptr) bool {
		fd, sa, err = unix.Accept4(int(socket), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return !errors.Is(err, unix.EAGAIN)
	})
	if waitErr != nil || err != nil {
		return -1, from, errors.Join(waitErr, err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		from = netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		from = netip.AddrFrom16(sa.Addr).Unmap()
	}
	return fd, from, nil
}

func (s *Server) acceptLoop(ctx context.Context, l *listener) error {
	lane := &quickLane{s: s}
	for {
		fd, from, err := l.accept()
		switch {
		case err == nil:
			lane.serve(ctx, fd, from)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrClosed):
			return err
		case errors.Is(err, unix.EINTR) || errors.Is(err, unix.ECONNABORTED):
		default:
			s.cfg.Log.Warn("accepting failed", "service", "tmcd", "error", err)
			pause(ctx, acceptPause)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// connOf makes a connection object of an accepted socket, which it owns then.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "tmcd connection")
	defer file.Close() // net keeps a copy
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("tmcd: accepted connection: %w", err)
	}
	return conn, nil
}
