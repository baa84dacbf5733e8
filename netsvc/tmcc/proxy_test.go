package tmcc

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"hyzer/bench/tools"
)

// startProxy runs a proxy until the test ends.
func startProxy(t *testing.T, p *proxy, l net.Listener, udp *net.UDPConn) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.serve(ctx, l, udp) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// listenBoth listens on one port for TCP and UDP.
func listenBoth(t *testing.T) (net.Listener, *net.UDPConn, uint16) {
	t.Helper()
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), tools.Ports(t, 1))
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	return l, udp, at.Port()
}

// upstream answers each request with its own text.
func upstream(t *testing.T) uint16 {
	t.Helper()
	l, udp, port := listenBoth(t)
	t.Cleanup(func() { l.Close(); udp.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			conn.Close()
		}
	}()
	go func() {
		buf := make([]byte, 4096)
		for {
			n, peer, err := udp.ReadFromUDP(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(append([]byte("udp "), buf[:n]...), peer)
		}
	}()
	return port
}

// TestProxyOverUnixSocket asks through the path that containers use.
func TestProxyOverUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tmcc")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close() // its socket stays, as that of a killed proxy
	l, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o777 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	p := &proxy{client: Client{Server: "127.0.0.1", Ports: []uint16{upstream(t)}}, vnode: "vm1", key: "0123456789abcdef", noRetry: true, log: discard()}
	startProxy(t, p, l, nil)
	data := strings.Repeat("line of a log\n", 10000)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"-l", path, "status"}, "PROXYFOR=vm1 PRIVKEY=0123456789abcdef VERSION=44 status  "},
		{[]string{"-l", path, "-u", "isalive"}, "udp PROXYFOR=vm1 PRIVKEY=0123456789abcdef VERSION=44 isalive  "},
		{[]string{"-l", path, "-n", "other", "nodeid"}, "PROXYFOR=vm1 PRIVKEY=0123456789abcdef VERSION=44 nodeid  "},
		{[]string{"-l", path, "-f", writeFile(t, data), "bootlog"}, "PROXYFOR=vm1 PRIVKEY=0123456789abcdef VERSION=44 bootlog " + data + " "},
	} {
		var stdout, stderr bytes.Buffer
		n := node{root: t.TempDir(), env: func(string) string { return "" }}
		if status := n.main(context.Background(), tc.args, &stdout, &stderr); status != 0 || stdout.String() != tc.want {
			t.Errorf("tmcc %v: exit %d, %.200q, %s", tc.args, status, stdout.String(), &stderr)
		}
	}
}

// TestProxyOverInet asks the TCP and the UDP side of one port.
func TestProxyOverInet(t *testing.T) {
	t.Parallel()
	l, udp, port := listenBoth(t)
	p := &proxy{client: Client{Server: "127.0.0.1", Ports: []uint16{upstream(t)}}, vnode: "vm1", noRetry: true, log: discard()}
	startProxy(t, p, l, udp)
	for _, tc := range []struct{ flag, want string }{
		{"-i", "PROXYFOR=vm1 VERSION=44 status  "},
		{"-u", "udp PROXYFOR=vm1 VERSION=44 status  "},
	} {
		var stdout, stderr bytes.Buffer
		n := node{root: t.TempDir(), env: func(string) string { return "" }}
		args := []string{tc.flag, "-s", "127.0.0.1", "-p", strconv.Itoa(int(port)), "status"}
		if status := n.main(context.Background(), args, &stdout, &stderr); status != 0 || stdout.String() != tc.want {
			t.Errorf("tmcc %v: exit %d, %q, %s", args, status, stdout.String(), &stderr)
		}
	}
}

// TestNewRequestEndsRetries: a forward that waits for the server is given up
// when the next request comes.
func TestNewRequestEndsRetries(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{client: Client{Server: "127.0.0.1", Ports: []uint16{tools.Ports(t, 1)}}, vnode: "vm1", log: discard()}
	startProxy(t, p, l, nil)
	c := Client{Server: "127.0.0.1", Ports: []uint16{l.Addr().(*net.TCPAddr).AddrPort().Port()}}
	first := make(chan string)
	go func() {
		var out bytes.Buffer
		err := c.Do(context.Background(), Request{Words: []string{"status"}}, &out)
		first <- out.String() + " " + errText(err)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	second := make(chan struct{})
	go func() {
		defer close(second)
		for ctx.Err() == nil { // until the first one has been given up
			short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
			_ = c.Do(short, Request{Words: []string{"nodeid"}}, io.Discard)
			stop()
		}
	}()
	if got := <-first; got != " " {
		t.Errorf("the first request ended with %q", got)
	}
	cancel()
	<-second
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
