package framed

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"hyzer/netsvc/tmc2"
)

// Datagrams asks one server over UDP, one request in one datagram. Calls may be
// made from several goroutines.
type Datagrams struct {
	Addr      netip.AddrPort
	Bind      netip.Addr // local address, for tests with many nodes on one host
	VNode     string     // virtual node that is asked for, "" for none
	Container bool       // the virtual node itself asks
	PrivKey   string     // who asks, where the address does not say so
	// Text, if there is any, is the request as servers take it that speak in
	// text. It is sent once, when the first try was not answered; an answer
	// to it comes with ErrLegacy. A server that takes both may then execute
	// both: it is for servers that nothing is known of.
	Text []byte
}

// Tries, and the time after each.
const (
	datagramTries     = 4
	datagramPause     = time.Second // doubles with each try
	datagramPauseMax  = 4 * time.Second
	datagramReadBytes = 64 << 10 // as much as a text answer may have
)

// ErrTooLong is returned for a request that no datagram holds. It is for TCP.
var ErrTooLong = errors.New("tmc2: request is too long for a datagram")

// Do makes one request and returns its reply and status. It repeats the request
// with the same id, which the server executes once. tmc2.CodeUseTCP says that
// only TCP will do; ErrNoAnswer, that the request was executed or not.
func (c *Datagrams) Do(ctx context.Context, command string, args []string) (reply []byte, status tmc2.Status, err error) {
	x := datagramExchange{text: c.Text}
	if err := x.encode(c.request(command, args)); err != nil {
		return nil, status, err
	}
	dialer := net.Dialer{}
	if c.Bind.IsValid() {
		dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.Bind, 0))
	}
	if x.conn, err = dialer.DialContext(ctx, "udp", c.Addr.String()); err != nil {
		return nil, status, fmt.Errorf("tmc2: %w", err)
	}
	defer x.conn.Close()
	return x.run(ctx)
}

func (c *Datagrams) request(command string, args []string) *tmc2.Request {
	r := &tmc2.Request{Command: []byte(command), VNode: []byte(c.VNode), PrivKey: []byte(c.PrivKey)}
	for _, arg := range args {
		r.Args = append(r.Args, []byte(arg))
	}
	if c.Container {
		r.Mode = tmc2.ModeContainer
	}
	return r
}

// datagramExchange is one request on a connection of its own.
type datagramExchange struct {
	conn    net.Conn
	request []byte
	id      uint32
	text    []byte

	// The answer as far as it has come.
	pieces    [tmc2.FragmentsMax][]byte
	have      int
	fragments uint16 // 0: none has come
	code      tmc2.Code
}

func (x *datagramExchange) encode(r *tmc2.Request) error {
	var b [4]byte
	_, _ = rand.Read(b[:]) // which never fails
	x.id = binary.BigEndian.Uint32(b[:])
	payload := tmc2.AppendRequest(nil, r)
	if len(payload) > tmc2.FragmentBytesMax {
		return ErrTooLong
	}
	x.request = tmc2.AppendDatagram(nil, &tmc2.Datagram{Fragments: 1, ID: x.id, Payload: payload})
	return nil
}

// run sends the request until it is answered.
func (x *datagramExchange) run(ctx context.Context) ([]byte, tmc2.Status, error) {
	stop := context.AfterFunc(ctx, func() { x.conn.Close() })
	defer stop()
	pause := datagramPause
	for try := range datagramTries {
		err := x.send(x.request)
		if err == nil && try == 1 && len(x.text) > 0 {
			err = x.send(x.text)
		}
		if err != nil {
			return nil, tmc2.Status{}, x.failed(ctx, err)
		}
		text, err := x.receive(time.Now().Add(pause))
		switch {
		case errors.Is(err, ErrLegacy):
			return text, tmc2.Status{}, err
		case err == nil:
			return x.reply(), tmc2.Status{Code: x.code}, nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return nil, tmc2.Status{}, x.failed(ctx, err)
		}
		pause = min(2*pause, datagramPauseMax)
	}
	return nil, tmc2.Status{}, fmt.Errorf("%w over UDP, which was sent %d times", ErrNoAnswer, datagramTries)
}

func (x *datagramExchange) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("tmc2: %w", err)
}

// send sends one datagram. A server that is not there may be when it is sent
// again.
func (x *datagramExchange) send(b []byte) error {
	_, err := x.conn.Write(b)
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	return err
}

// receive takes datagrams until the answer is whole, or text came in its place,
// which it returns with ErrLegacy, or until the deadline.
func (x *datagramExchange) receive(until time.Time) (text []byte, err error) {
	if err := x.conn.SetReadDeadline(until); err != nil {
		return nil, err
	}
	buf := make([]byte, datagramReadBytes)
	for {
		n, err := x.conn.Read(buf)
		switch {
		case errors.Is(err, unix.ECONNREFUSED): // said once for each that was sent
		case err != nil:
			return nil, err
		case len(x.text) > 0 && !isFramed(buf[:n]):
			return buf[:n], ErrLegacy
		case x.take(buf[:n]):
			return nil, nil
		}
	}
}

func isFramed(b []byte) bool {
	return len(b) >= len(tmc2.DatagramTag) && string(b[:len(tmc2.DatagramTag)]) == tmc2.DatagramTag
}

// take adds a fragment and says whether the answer is whole. A fragment that
// does not go with the others begins the answer anew: the server has lost its
// memory between two tries.
func (x *datagramExchange) take(b []byte) (whole bool) {
	d, err := tmc2.DecodeDatagram(b)
	if err != nil || d.ID != x.id || d.Flags&tmc2.FlagAnswer == 0 {
		return false
	}
	if d.Fragments != x.fragments || d.Code != x.code {
		x.pieces, x.have = [tmc2.FragmentsMax][]byte{}, 0
		x.fragments, x.code = d.Fragments, d.Code
	}
	if x.pieces[d.Fragment] == nil {
		x.pieces[d.Fragment] = append([]byte{}, d.Payload...)
		x.have++
	}
	return x.have == int(x.fragments)
}

func (x *datagramExchange) reply() (reply []byte) {
	for _, piece := range x.pieces[:x.fragments] {
		reply = append(reply, piece...)
	}
	return reply
}
