// Package standalone is the program frisbeed: one file sent at one address,
// with the old one's options (spec frisbee A7), exit status and last lines,
// which scripts read. The appliance runs the same sessions without it.
//
// The caller is cmd/hyzer-node.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/imaging/cli"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/server"
)

const usage = `usage: frisbeed [options] <-p port> <-m addr> <file>
 -p N, -p N-M   port, 0 for any, or a range
 -m addr        multicast or broadcast address, or the unicast client
 -i addr        interface, by its address
 -b             addr is a broadcast address
 -W bps         bandwidth; or -B blocks of a burst and -G us between bursts
 -D             lower the rate at loss
 -T s           end after so long without requests (1800); 0 never;
                below 0 after the last client
 -K s           announce the group after so long without packets
 -H s           ask clients for a report that often
 -A file        write addr:port there
 -k KB          socket buffers
 -d             more messages
 -R n           blocks of one read of the file (32)
 -E host        print each client's report as the event that the old program sent
                there; something else has to send it
 -t             print what came and was sent, at the end
`

// Option letters as getopt has them, and the C program's defaults.
const (
	optionLetters = "A:p:m:i:bdk:B:G:W:DR:T:K:H:E:tL:h"
	idleDefault   = 1800 * time.Second
	burstDefault  = 16
	readDefault   = 32 // blocks
	gapDefault    = 2000 * time.Microsecond
	heartbeatMax  = 3600
	bitsPerSecMax = 1 << 40
	burstMax      = 1 << 16
	gapMax        = 1_000_000
	keepaliveMax  = 1_000_000
	readBlocksMax = 1 << 16
	bufferKBMax   = 4096
	exitFailed    = 1
	addressMode   = 0o644
)

type command struct {
	cfg          server.Config
	first, last  int // ports
	addr         netip.Addr
	file         string
	addressFile  string
	debug        bool
	eventServer  string
	trace        *tracer // nil: off
	burst        int
	gap          time.Duration
	bandwidthBPS int
	ported       bool
}

func newCommand() *command {
	return &command{cfg: server.Config{Linger: idleDefault, ReadBlocks: readDefault}, burst: burstDefault, gap: gapDefault}
}

var errHangup = errors.New("caught SIGHUP")

// Main is frisbeed; args are those after the program's name.
func Main(args []string, _ io.Reader, _, stderr io.Writer) int {
	c := newCommand()
	if err := c.parse(args); err != nil {
		cli.PrintUsage(stderr, "frisbeed", usage, err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	// SIGHUP ends it as well, but was a failure.
	running, unhook := signal.NotifyContext(ctx, unix.SIGHUP)
	defer unhook()
	err := c.run(running, stderr)
	if err == nil && ctx.Err() == nil && running.Err() != nil {
		err = errHangup
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, unix.EADDRINUSE): // "choose another port" to the old master server
		fmt.Fprintf(stderr, "frisbeed: %v\n", err)
		return int(unix.EADDRINUSE)
	}
	fmt.Fprintf(stderr, "frisbeed: %v\n", err)
	return exitFailed
}

func (c *command) parse(args []string) error {
	options, rest, err := cli.Parse(args, optionLetters)
	if err == nil {
		err = cli.Each(options, c.option)
	}
	switch {
	case err != nil:
		return err
	case len(rest) != 1:
		return errors.New("want one file")
	case !c.addr.IsValid() || !c.ported:
		return errors.New("want -m and -p")
	}
	c.file = rest[0]
	c.cfg.Broadcast = c.cfg.Broadcast || c.addr == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	p := &c.cfg.Pace
	if p.BitsPerSec = int64(c.bandwidthBPS); p.BitsPerSec > 0 {
		return nil
	}
	if p.Burst, p.Gap = c.burst, c.gap; c.gap == 0 {
		p.Gap = -1 // unpaced
	}
	return nil
}

func (c *command) option(o cli.Option) (err error) {
	n := 0
	switch o.Letter {
	case 'A':
		c.addressFile = o.Value
	case 'p':
		err = c.ports(o.Value)
	case 'm':
		c.addr, err = cli.IPv4(o.Value)
	case 'i':
		c.cfg.Iface, err = sock.Host(o.Value)
	case 'b':
		c.cfg.Broadcast = true
	case 'd':
		c.debug = true
	case 'E':
		c.eventServer = o.Value
	case 't':
		c.trace = newTracer(time.Now())
		c.cfg.Trace = c.trace.add
	case 'k':
		n, err = cli.AtMost(o.Value, bufferKBMax)
		c.cfg.SocketBufferBytes = n << 10
	case 'K':
		n, err = cli.Number(o.Value, 0, keepaliveMax)
		c.cfg.Keepalive = time.Duration(n) * time.Second
	case 'H':
		n, err = cli.AtMost(o.Value, heartbeatMax)
		c.cfg.HeartbeatSeconds = uint32(n)
	case 'L', 'h':
		err = cli.ErrHelp
	default:
		err = c.paceOption(o)
	}
	return err
}

func (c *command) paceOption(o cli.Option) (err error) {
	n := 0
	switch o.Letter {
	case 'B':
		n, err = cli.Number(o.Value, 0, burstMax)
		c.burst = max(n, 1) // as the old one
	case 'G':
		n, err = cli.Number(o.Value, 0, gapMax)
		c.gap = time.Duration(n) * time.Microsecond
	case 'W':
		c.bandwidthBPS, err = cli.Number(o.Value, 0, bitsPerSecMax) // 0: by -B and -G
	case 'D':
		c.cfg.Pace.Dynamic = true
	case 'R':
		n, err = cli.Number(o.Value, 0, readBlocksMax)
		c.cfg.ReadBlocks = max(n, 1)
	case 'T':
		n, err = cli.Number(o.Value, -keepaliveMax, keepaliveMax)
		c.cfg.Linger = time.Duration(n) * time.Second
		if n < 0 {
			c.cfg.Linger = server.LingerLastClient
		}
	}
	return err
}

// ports reads one port or a range.
func (c *command) ports(value string) (err error) {
	from, to, ranged := strings.Cut(value, "-")
	if c.first, err = cli.Number(from, 0, 65535); err != nil {
		return err
	}
	c.last, c.ported = c.first, true
	if ranged {
		c.last, err = cli.Number(to, max(1, c.first), 65535)
	}
	return err
}

func (c *command) run(ctx context.Context, stderr io.Writer) error {
	stderr = cli.OneAtATime(stderr)
	level := slog.LevelWarn
	if c.debug {
		level = slog.LevelDebug
	}
	c.cfg.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	c.cfg.ShareHost = c.cfg.Iface.IsLoopback()
	image, err := server.OpenFile(c.file)
	if err != nil {
		return err
	}
	c.cfg.Image = image
	lines := &lines{command: c, w: stderr}
	c.cfg.OnEvent = lines.event
	s, err := c.open()
	if err != nil {
		return errors.Join(err, image.Close())
	}
	if c.addressFile != "" { // the NUL is the old program's
		text := s.Address().String() + "\n\x00"
		if err := os.WriteFile(c.addressFile, []byte(text), addressMode); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	lines.opened(s.Address())
	err = s.Run(ctx)
	lines.report(s.Stats())
	if c.trace != nil {
		c.trace.write(stderr)
	}
	if ctx.Err() != nil {
		return nil // a signal ended it
	}
	return err
}

// open takes the first free port of the range.
func (c *command) open() (s *server.Server, err error) {
	for port := c.first; port <= c.last; port++ {
		c.cfg.Address = netip.AddrPortFrom(c.addr, uint16(port))
		if s, err = server.Open(c.cfg); !errors.Is(err, unix.EADDRINUSE) {
			return s, err
		}
	}
	return nil, err
}
