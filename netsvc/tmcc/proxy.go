package tmcc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"hyzer/netsvc/tmc2"
	"hyzer/netsvc/tmcd"
)

// proxy takes requests of a container and forwards them in its name, one at a
// time.
type proxy struct {
	client  Client
	vnode   string
	key     string
	noRetry bool
	log     *slog.Logger
}

// Limits of a proxied request. C clients on a Unix socket do not half-close: a
// moment of silence is the end of a boot log.
const (
	proxiedBytesMax = 16 << 20
	proxiedHead     = 30 * time.Second
	proxiedQuiet    = 200 * time.Millisecond
)

func runProxy(ctx context.Context, o *options, client Client, key string) error {
	out := io.Writer(os.Stderr)
	if o.logFile != "" {
		f, err := os.OpenFile(o.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return fmt.Errorf("tmcc: %w", err)
		}
		defer f.Close()
		out = f
	}
	p := &proxy{client: client, vnode: o.vnode, key: key, noRetry: o.noRetry, log: slog.New(slog.NewTextHandler(out, nil))}
	if o.proxyUnix != "" {
		l, err := listenUnix(o.proxyUnix)
		if err != nil {
			return err
		}
		return p.serve(ctx, l, nil)
	}
	at, err := parseListen(o.proxyInet)
	if err != nil {
		return fmt.Errorf("%w: -X: %v", errUsage, err)
	}
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at))
	if err != nil {
		return fmt.Errorf("tmcc: %w", err)
	}
	at = l.Addr().(*net.TCPAddr).AddrPort()
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		l.Close()
		return fmt.Errorf("tmcc: %w", err)
	}
	return p.serve(ctx, l, udp)
}

// listenUnix takes over a socket that a dead proxy left behind.
func listenUnix(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("tmcc: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("tmcc: %w", err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		l.Close()
		return nil, fmt.Errorf("tmcc: %w", err)
	}
	return l, nil
}

// incoming is a request with the way back.
type incoming struct {
	text  []byte
	reply io.Writer
	close func()
}

// serve answers until ctx ends. A request that waits for the server is given
// up when the next one comes: its sender has stopped waiting.
func (p *proxy) serve(ctx context.Context, l net.Listener, udp *net.UDPConn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	requests := make(chan incoming)
	done := make(chan struct{}, 2)
	go func() { cancel(p.acceptLoop(ctx, l, requests)); done <- struct{}{} }()
	readers := 1
	if udp != nil {
		readers++
		go func() { cancel(p.datagramLoop(ctx, udp, requests)); done <- struct{}{} }()
	}
	p.forwardLoop(ctx, requests)
	l.Close()
	if udp != nil {
		udp.Close()
	}
	for range readers {
		<-done
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func (p *proxy) forwardLoop(ctx context.Context, requests <-chan incoming) {
	var current chan struct{}
	stop := func() {}
	for {
		select {
		case <-ctx.Done():
			stop()
			if current != nil {
				<-current
			}
			return
		case in := <-requests:
			stop()
			if current != nil {
				<-current
			}
			var one context.Context
			one, stop = context.WithCancel(ctx)
			current = make(chan struct{})
			go func(finished chan struct{}) {
				defer close(finished)
				defer in.close()
				if err := p.forward(one, in); err != nil {
					p.log.Warn("request not forwarded", "error", err)
				}
			}(current)
		}
	}
}

// forward sends a request on with the container's name and the host's key in
// place of what the container says of itself.
func (p *proxy) forward(ctx context.Context, in incoming) error {
	client := p.client
	client.Once = p.noRetry
	request, udp := p.rewrite(in.text)
	client.UDP = udp
	c := &call{Client: client, progress: func() {}}
	for {
		var err error
		if udp {
			err = c.forwardUDP(ctx, request, in.reply)
		} else {
			_, err = c.exchangeStream(ctx, request, in.reply)
		}
		if err == nil || p.noRetry || ctx.Err() != nil {
			return err
		}
		p.log.Warn("will try again", "error", err)
		if err := sleep(ctx, retryPause); err != nil {
			return err
		}
	}
}

func (c *call) forwardUDP(ctx context.Context, request []byte, out io.Writer) error {
	c.req = Request{raw: request}
	_, err := c.exchangeUDP(ctx, out)
	return err
}

// rewrite puts PROXYFOR and PRIVKEY in front and takes such words out of the
// text, as the C proxy does, with its second space at the end.
func (p *proxy) rewrite(text []byte) (request []byte, udp bool) {
	var b bytes.Buffer
	if p.vnode != "" {
		b.WriteString("PROXYFOR=" + p.vnode + " ")
	}
	if p.key != "" {
		b.WriteString("PRIVKEY=" + p.key + " ")
	}
	for word := range strings.SplitSeq(string(text), " ") {
		switch {
		case word == "USEUDP=1":
			udp = true
		case strings.Contains(word, "PRIVKEY="), strings.Contains(word, "VNODEID="):
		default:
			b.WriteString(word)
			b.WriteByte(' ')
		}
	}
	return b.Bytes(), udp
}

func (p *proxy) acceptLoop(ctx context.Context, l net.Listener, requests chan<- incoming) error {
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("tmcc: %w", err)
		}
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		text, err := readProxied(conn)
		stop()
		if err != nil {
			conn.Close()
			continue
		}
		select {
		case requests <- incoming{text, conn, func() { conn.Close() }}:
		case <-ctx.Done():
			conn.Close()
			return nil
		}
	}
}

// readProxied reads until the client half-closes or falls silent.
func readProxied(conn net.Conn) ([]byte, error) {
	var text []byte
	buf := make([]byte, 32<<10)
	wait := proxiedHead
	for len(text) < proxiedBytesMax {
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return nil, err
		}
		n, err := conn.Read(buf)
		text = append(text, buf[:n]...)
		if err != nil {
			if len(text) > 0 && (err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded)) {
				return text, nil
			}
			return nil, err
		}
		if !growing(text) {
			return text, nil
		}
		wait = proxiedQuiet
	}
	return text, nil
}

// growing says whether more may come: clients write a request at once, but a
// boot log takes several segments.
func growing(text []byte) bool {
	head, _, err := tmcd.ParseHead(text, false)
	return err != nil || bytes.HasPrefix(head.Word, []byte("bootlog"))
}

func (p *proxy) datagramLoop(ctx context.Context, udp *net.UDPConn, requests chan<- incoming) error {
	buf := make([]byte, datagramMax)
	for {
		n, peer, err := udp.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("tmcc: %w", err)
		}
		if bytes.HasPrefix(buf[:n], []byte(tmc2.DatagramTag)) {
			continue // a proxy speaks in text; its clients ask so when this is not answered
		}
		text := append([]byte("USEUDP=1 "), buf[:n]...)
		back := writerFunc(func(b []byte) (int, error) { return udp.WriteToUDPAddrPort(b, peer) })
		select {
		case requests <- incoming{text, back, func() {}}:
		case <-ctx.Done():
			return nil
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
