package client

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"hyzer/imaging/cli"
	"hyzer/imaging/ndz"
	"hyzer/imaging/partition"
	"hyzer/imaging/unzip"
	"hyzer/multicast/internal/sock"
	"hyzer/multicast/wire"
)

const usage = `usage: frisbee [options] -m addr -p port <output file>
       frisbee [options] -S master -F imageid <output file>
       frisbee -S master -Q imageid
 -m addr -p port   session to join: group, broadcast address or unicast server
 -S addr           server; with -F or -Q, master server
 -p port           with -F or -Q, port of the master server (64494)
 -i addr           interface, by its address
 -b                addr is a broadcast address
 -F id, -Q id      ask the master server to send the image; ask about it
 -X methods        ways to ask for: ucast,mcast,bcast,any
 -B s              ask again every s seconds while the image is busy
 -P host           ask, and report, on behalf of that host
 -s slice -D type  write into a partition; set its DOS type
 -z                write zeros to free space
 -N                write the file as it is, do not decompress
 -u uuid           accept only the image with this id
 -c file, -e file  key to verify checksums with; key to decrypt with
 -r s              start after a random delay of up to s seconds
 -T s              give up when the server is silent for so long
 -K s              announce the group membership after so long without packets
 -H s              report to the server when it asks
 -O                ask for the image in order
 -C n, -M MB       chunk buffers; memory
 -R n              chunks to ask for ahead
 -k KB             socket buffers
 --spill dir       let what waits for a slow disk lie in a file there, of up to half of
                   what is free
 -q, -d            quiet; more messages
 -n -f -I -W -t -U accepted for compatibility, without effect
`

// optionLetters as getopt has them: a colon after those with a value.
const optionLetters = "m:p:S:i:bF:Q:X:B:P:s:D:zNu:c:e:r:T:K:H:OC:M:R:k:qdnfI:W:tU:h"

// Bounds of the numbers on the command line.
const (
	secondsMax   = 1_000_000 // of -H
	megabytesMax = 1 << 20
	slicesMax    = 128
	socketKBMax  = 4096 // as in C; 0: the default
)

// command is a parsed command line.
type command struct {
	out      string
	session  Config
	addr     netip.Addr
	port     int
	master   netip.Addr // -S
	imageID  string
	status   bool // -Q
	methods  wire.Methods
	busy     time.Duration // -B
	delayMax time.Duration // -r

	slice     int
	slicetype int               // or -1
	kind      []partition.Patch // what sets it
	restore   unzip.Options
	quiet     bool
	debug     bool

	stdout, stderr io.Writer
}

// parse reads the command line as getopt would.
func (c *command) parse(args []string) error {
	options, rest, err := cli.Parse(args, optionLetters, "spill:")
	if err == nil {
		err = cli.Each(options, c.option)
	}
	if err != nil {
		return err
	}
	return c.operands(rest)
}

// operands checks that what is needed is there.
func (c *command) operands(args []string) error {
	switch {
	case c.status && len(args) == 0:
	case len(args) == 1:
		c.out = args[0]
	default:
		return errors.New("want one output file")
	}
	if c.imageID != "" {
		if !c.master.IsValid() {
			return errors.New("options -F and -Q need -S")
		}
		if c.port == 0 {
			c.port = wire.MasterPort
		}
		return nil
	}
	if !c.addr.IsValid() || c.port == 0 {
		return errors.New("want -m and -p, or -S and -F")
	}
	c.session.Address, c.session.Server = netip.AddrPortFrom(c.addr, uint16(c.port)), c.master
	return nil
}

// option takes one option; those about packets and those about the disk are
// further down.
func (c *command) option(o cli.Option) (err error) {
	switch o.Letter {
	case 0: // --spill, ours
		c.session.SpillDir = o.Value
		c.session.SpillBytesMax, err = spillRoom(o.Value)
	case 'm':
		c.addr, err = cli.IPv4(o.Value)
	case 'p':
		c.port, err = cli.Number(o.Value, 1, 65535)
	case 'S':
		c.master, err = sock.Host(o.Value)
	case 'F', 'Q':
		c.imageID, c.status = o.Value, o.Letter == 'Q'
		if o.Value == "" || len(o.Value) > wire.ImageIDBytesMax {
			err = fmt.Errorf("want a name of 1 to %d bytes", wire.ImageIDBytesMax)
		}
	case 'X':
		c.methods, err = parseMethods(o.Value)
	case 'B':
		c.busy, err = cli.Seconds(o.Value)
	case 'P':
		c.session.ReportFor, err = sock.Host(o.Value)
	case 'r':
		c.delayMax, err = cli.Seconds(o.Value)
	case 'q':
		c.quiet = true
	case 'd':
		c.debug = true
	case 'h':
		err = cli.ErrHelp
	case 's', 'D', 'z', 'N', 'u', 'c', 'e':
		err = c.diskOption(o)
	default:
		err = c.packetOption(o)
	}
	return err
}

func (c *command) packetOption(o cli.Option) (err error) {
	s := &c.session
	n := 0
	switch o.Letter {
	case 'i':
		s.Iface, err = sock.Host(o.Value)
	case 'b':
		s.Broadcast = true
	case 'T':
		s.IdleTimeout, err = cli.Seconds(o.Value)
	case 'K':
		s.Keepalive, err = cli.Seconds(o.Value)
	case 'H':
		s.Heartbeat = true
		_, err = cli.Number(o.Value, 0, secondsMax)
	case 'O':
		s.InOrder = true
	case 'C':
		s.Buffers, err = cli.Number(o.Value, 0, megabytesMax)
	case 'M': // half for chunks, half for what is to be written
		n, err = cli.Number(o.Value, 1, megabytesMax)
		s.Buffers = max(n/2, 1)
	case 'R':
		n, err = cli.Number(o.Value, 1, BuffersMax)
		s.Window = max(WindowDefault, 4*n)
	case 'k':
		n, err = cli.AtMost(o.Value, socketKBMax)
		s.SocketBufferBytes = n << 10
	}
	return err
}

func (c *command) diskOption(o cli.Option) (err error) {
	decode := &c.restore.Decode
	switch o.Letter {
	case 's':
		c.slice, err = cli.Number(o.Value, 0, slicesMax)
	case 'D':
		c.slicetype, err = cli.Number(o.Value, 0, 255)
	case 'z':
		c.restore.ZeroFill = true
	case 'N':
		c.session.Raw = true
	case 'u':
		var id ndz.ImageID
		id, err = ndz.ParseImageID(strings.TrimPrefix(o.Value, "0x"))
		decode.ImageID = &id
	case 'c':
		decode.Checksum = true
		var text []byte
		if text, err = cli.KeyFile(o.Value); err == nil {
			decode.SigningKey, err = ndz.ParseSigningKey(text)
		}
	case 'e':
		var text []byte
		if text, err = cli.KeyFile(o.Value); err == nil {
			decode.Key, err = ndz.ParseKey(text)
		}
	}
	return err
}

func parseMethods(s string) (m wire.Methods, err error) {
	names := map[string]wire.Methods{"ucast": wire.Unicast, "mcast": wire.Multicast, "bcast": wire.Broadcast, "any": wire.AnyMethod}
	for _, name := range strings.Split(s, ",") {
		one, ok := names[name]
		if !ok {
			return 0, fmt.Errorf("%q is not one of ucast, mcast, bcast, any", name)
		}
		m |= one
	}
	return m, nil
}

// startDelay is a random time up to -r.
func (c *command) startDelay() time.Duration {
	if c.delayMax <= 0 {
		return 0
	}
	return rand.N(c.delayMax)
}
