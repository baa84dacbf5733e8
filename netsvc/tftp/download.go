package tftp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// download is one Get or Size under way.
type download struct {
	client  Client
	conn    *net.UDPConn
	request []byte
	server  netip.AddrPort // its TID; port 0 until the first answer
	machine *receiver
	out     io.Writer
	isProbe bool
	stop    func() bool
	reply   []byte
	oob     []byte
}

func (c Client) dial(ctx context.Context, name string, options []Option) (*download, error) {
	request := Packet{Op: OpRRQ, Name: name, Mode: modeOctet, Options: options}.Append(nil)
	if len(request) > requestBytesMax {
		return nil, fmt.Errorf("request of %d bytes, the limit is %d", len(request), requestBytesMax)
	}
	network, local := "udp6", &net.UDPAddr{}
	if c.Server.Addr().Unmap().Is4() {
		network = "udp4"
	}
	if c.Local.IsValid() {
		local = net.UDPAddrFromAddrPort(c.Local)
	}
	conn, err := net.ListenUDP(network, local)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(receiveBytesWish) // best effort, for windows
	_ = control(conn, func(fd int) error {   // best effort: one read takes a window
		return unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1)
	})
	d := &download{
		client: c, conn: conn, request: request, machine: newReceiver(options),
		reply: make([]byte, 0, dataHeaderBytes), oob: make([]byte, controlBytesMax),
	}
	d.stop = context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	return d, nil
}

func (d *download) close() {
	d.stop()
	d.conn.Close()
}

func (d *download) run(ctx context.Context, w io.Writer) error {
	d.out = w
	buf := make([]byte, datagramBytesMax)
	if err := d.send(d.request); err != nil {
		return err
	}
	for tries := 0; ; {
		if err := d.conn.SetReadDeadline(time.Now().Add(d.client.Timeout)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil { // after SetReadDeadline: it may have undone AfterFunc's
			d.abort(CodeUndefined, "client is stopping")
			return err
		}
		n, oobn, _, from, err := d.conn.ReadMsgUDPAddrPort(buf, d.oob)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			if tries++; tries > d.client.Tries {
				return fmt.Errorf("no answer to %d tries, %d bytes received", tries, d.machine.gotBytes)
			}
			err = d.repeat()
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err == nil:
			before := d.machine.got
			var done bool
			if done, err = d.takeAll(buf[:n], segmentBytes(d.oob[:oobn]), from); done {
				return err
			}
			if d.machine.got > before {
				tries = 0
			}
		}
		if err != nil {
			return err
		}
	}
}

// takeAll takes one datagram, or the equal ones that the kernel joined.
func (d *download) takeAll(b []byte, size int, from netip.AddrPort) (done bool, err error) {
	if size <= 0 {
		size = max(1, len(b))
	}
	for len(b) > 0 && !done && err == nil {
		n := min(size, len(b))
		done, err = d.take(b[:n], from)
		b = b[n:]
	}
	return done || err != nil, err
}

func (d *download) take(b []byte, from netip.AddrPort) (done bool, err error) {
	from = unmap(from)
	if from.Addr() != d.client.Server.Addr().Unmap() || (d.server.IsValid() && from != d.server) {
		// RFC 1350 section 4; a stray packet must not end the transfer.
		if p, err := Parse(b); err == nil && p.Op != OpError {
			stray := refusal{CodeUnknownTID, "unknown transfer"}.packet()
			_, err = d.conn.WriteToUDPAddrPort(stray, from)
		}
		return false, nil
	}
	p, err := Parse(b)
	if err != nil {
		return false, nil
	}
	if p.Op == OpError {
		return true, &RemoteError{Code: p.Code, Message: p.Message}
	}
	d.server = from
	switch p.Op {
	case OpOack:
		return d.do(d.machine.oack(p.Options))
	case OpData:
		return d.do(d.machine.data(p.Block, p.Data))
	}
	return false, nil
}

// do carries out what the machine wants.
func (d *download) do(r receipt) (done bool, err error) {
	if r.err != nil {
		d.abort(CodeOptionDenied, "refused by client")
		return true, r.err
	}
	if d.isProbe {
		d.abort(CodeOptionDenied, "User aborted the transfer")
		if d.machine.sizeBytes < 0 {
			return true, errors.New("server does not tell sizes (tsize)")
		}
		return true, nil
	}
	if d.machine.gotBytes > d.client.BytesMax {
		d.abort(CodeDiskFull, "file too large")
		return true, fmt.Errorf("file longer than %d bytes", d.client.BytesMax)
	}
	if len(r.data) > 0 {
		if _, err := d.out.Write(r.data); err != nil {
			d.abort(CodeDiskFull, "cannot store the file")
			return true, err
		}
	}
	if r.ack {
		err = d.ack(r.num)
	}
	return r.done, err
}

// repeat says again what was said last: the request or the last ACK.
func (d *download) repeat() error {
	if !d.server.IsValid() {
		return d.send(d.request)
	}
	return d.ack(d.machine.silence().num)
}

func (d *download) ack(block uint16) error {
	d.reply = binary.BigEndian.AppendUint16(d.reply[:0], uint16(OpAck))
	return d.send(binary.BigEndian.AppendUint16(d.reply, block))
}

func (d *download) abort(code Code, text string) {
	if d.server.IsValid() {
		_ = d.send(refusal{code, text}.packet()) // the transfer is over either way
	}
}

func (d *download) send(b []byte) error {
	to := d.server
	if !to.IsValid() {
		to = d.client.Server
	}
	_, err := d.conn.WriteToUDPAddrPort(b, to)
	return err
}

// segmentBytes finds the size of the datagrams that UDP_GRO joined; 0: one.
func segmentBytes(oob []byte) int {
	if len(oob) == 0 {
		return 0
	}
	h, data, _, err := unix.ParseOneSocketControlMessage(oob)
	if err != nil || h.Level != unix.IPPROTO_UDP || h.Type != unix.UDP_GRO || len(data) < int(unsafe.Sizeof(int32(0))) {
		return 0
	}
	return int(binary.NativeEndian.Uint32(data))
}
