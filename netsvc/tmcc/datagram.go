package tmcc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"

	"hyzer/netsvc/tmc2"
	"hyzer/netsvc/tmcc/framed"
)

// askDatagram makes an exchange over UDP with -u: by TMC2, whose repetitions are
// executed once, and over TCP what is too large for UDP. A server that nothing
// is known of is asked in text as well if it is silent for a second.
func (n node) askDatagram(ctx context.Context, o *options, client *Client, req Request, out io.Writer) error {
	if client.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, client.Timeout, ErrTimeout)
		defer cancel()
	}
	overTCP := *client
	overTCP.UDP = false
	f, err := n.framed(ctx, &overTCP, req)
	if err != nil {
		return err
	}
	defer f.Close()
	d := framed.Datagrams{Addr: f.Addrs[0], Bind: f.Bind, VNode: f.VNode}
	mark := n.framedMark(d.Addr)
	if !n.marked(mark, f.BootID) {
		d.Text = req.Bytes()
	}
	reply, status, err := d.Do(ctx, o.words[0], o.words[1:])
	if err == nil && status.Code == tmc2.CodeUnknownNode && f.PrivKey != "" { // it goes only where the address is not enough
		d.PrivKey = f.PrivKey
		reply, status, err = d.Do(ctx, o.words[0], o.words[1:])
	}
	switch {
	case errors.Is(err, framed.ErrLegacy) && !bytes.HasPrefix(reply, []byte(redirectTag)):
		_, err = out.Write(reply)
		return err
	case err == nil && status.Code == tmc2.CodeUseTCP, errors.Is(err, framed.ErrTooLong):
		(&call{Client: overTCP}).debugf("over UDP: %v", errors.Join(err, &statusError{status}))
		return n.askStream(ctx, o, &overTCP, req, out)
	case err != nil:
		return err // also ErrLegacy: text that redirects is asked for again
	}
	if len(d.Text) > 0 {
		n.remember(mark, f.BootID)
	}
	return finish(o, reply, status, out)
}

// framedMark is the file that remembers a server that answers TMC2 datagrams.
func (n node) framedMark(addr netip.AddrPort) string {
	return filepath.Join(n.root+legacyDir, fmt.Sprintf("tmc2-%s-%d", addr.Addr(), addr.Port()))
}

// marked says whether a file was written in this boot.
func (n node) marked(mark string, boot tmc2.BootID) bool {
	text, err := os.ReadFile(mark)
	return err == nil && string(text) == bootText(boot)
}
