package tmcc

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"hyzer/netsvc/tmc2"
	"hyzer/netsvc/tmcc/framed"
)

const (
	// legacyDir remembers which servers speak TMC2, until the next boot.
	legacyDir  = "/run/tmcc"
	bootIDFile = "/proc/sys/kernel/random/boot_id"
)

// longOptions are those that C's tmcc does not have.
func longOptions() []string { return []string{"legacy", "exit-status", "delegate"} }

func (o *options) long(name string) {
	switch name {
	case "legacy":
		o.legacy = true
	case "exit-status":
		o.exitStatus = true
	case "delegate":
		o.delegate = true
	}
}

// statusError is an answer that is not good, for --exit-status.
type statusError struct{ status tmc2.Status }

func (e *statusError) Error() string { return "tmcc: " + e.status.Code.String() }

// exitStatus is the one to leave with after an error.
func exitStatus(err error) int {
	var refused *statusError
	if errors.As(err, &refused) && refused.status.Code < exitFailed {
		return int(refused.status.Code)
	}
	return exitFailed
}

// ask makes the exchange: framed if the server speaks it, else in text.
func (n node) ask(ctx context.Context, o *options, client *Client, req Request, out io.Writer) error {
	switch {
	case o.legacy || o.unix != "" || strings.Contains(o.words[0], "="), // a tag, such as IDKEY=
		o.udp && req.Version != VersionCurrent: // which a datagram cannot say
		return client.Do(ctx, req, out)
	case o.udp:
		err := n.askDatagram(ctx, o, client, req, out)
		if errors.Is(err, framed.ErrLegacy) {
			return client.Do(ctx, req, out)
		}
		return err
	}
	return n.askStream(ctx, o, client, req, out)
}

// askStream makes an exchange over TCP.
func (n node) askStream(ctx context.Context, o *options, client *Client, req Request, out io.Writer) error {
	err := n.askFramed(ctx, o, client, req, out)
	if !fallsBack(err) {
		return err
	}
	(&call{Client: *client}).debugf("asking in text: %v", err)
	return client.Do(ctx, req, out)
}

// fallsBack says that nothing was asked yet. Servers that cannot be reached are
// waited for as ever.
func fallsBack(err error) bool {
	var op *net.OpError
	return errors.Is(err, framed.ErrLegacy) || errors.Is(err, framed.ErrNoAnswer) || errors.As(err, &op) && op.Op == "dial"
}

func (n node) askFramed(ctx context.Context, o *options, client *Client, req Request, out io.Writer) error {
	if client.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, client.Timeout, ErrTimeout)
		defer cancel()
	}
	f, err := n.framed(ctx, client, req)
	if err != nil {
		return err
	}
	defer f.Close()
	reply, status, err := f.Do(ctx, o.words[0], o.words[1:], req.Data)
	if errors.Is(err, framed.ErrLegacy) {
		n.remember(n.legacyMark(f.Addrs[0]), f.BootID)
	}
	if err != nil {
		return err
	}
	return finish(o, reply, status, out)
}

// framed is a client of the server, or ErrLegacy if that is known to speak in
// text only.
func (n node) framed(ctx context.Context, client *Client, req Request) (*framed.Client, error) {
	f, err := client.Framed(ctx)
	if err != nil {
		return nil, err
	}
	f.BootID, f.ReplyVersion = n.bootID(), req.Version
	f.VNode, f.PrivKey, f.Key = req.VNode, req.PrivKey, n.key(req.PrivKey)
	if n.marked(n.legacyMark(f.Addrs[0]), f.BootID) {
		return nil, framed.ErrLegacy
	}
	return f, nil
}

// Framed returns a client of the same server for TMC2. Nothing has been asked
// yet; who asks is for the caller to fill in.
func (c *Client) Framed(ctx context.Context) (*framed.Client, error) {
	resolver := &call{Client: *c}
	addr, err := resolver.resolve(ctx)
	if err != nil {
		return nil, err
	}
	f := &framed.Client{Bind: c.Bind}
	if config := c.TLS; config != nil {
		f.Secure = func(ctx context.Context, raw net.Conn) (net.Conn, error) { return secure(ctx, raw, config) }
	}
	for _, port := range resolver.ports() {
		f.Addrs = append(f.Addrs, netip.AddrPortFrom(addr, port))
	}
	return f, nil
}

// Framed returns a client of the server that the command with these arguments
// would ask, for what is more than one exchange: a boot log that is sent while
// it grows. Nothing has been asked yet. framed.ErrLegacy says that the server
// speaks in text only, as far as is known, or that the way leads over a proxy
// or UDP.
func Framed(ctx context.Context, args []string, env func(string) string) (*framed.Client, error) {
	n := node{env: env}
	o, err := parseOptions(args)
	if err != nil {
		return nil, err
	}
	if o.legacy || o.udp || o.unix != "" {
		return nil, framed.ErrLegacy
	}
	client, err := n.client(&o)
	if err != nil {
		return nil, err
	}
	key, err := n.privKey(&o)
	if err != nil {
		return nil, err
	}
	return n.framed(ctx, client, Request{VNode: o.vnode, PrivKey: key, Version: o.version})
}

// finish writes the reply. Without --exit-status a refusal is an empty reply,
// as in C; what was not made durable is a failure always.
func finish(o *options, reply []byte, status tmc2.Status, out io.Writer) error {
	if _, err := out.Write(reply); err != nil {
		return fmt.Errorf("tmcc: %w", err)
	}
	switch {
	case status.Code.Good():
		return nil
	case o.exitStatus:
		return &statusError{status}
	case status.Code >= tmc2.CodeBusy:
		return fmt.Errorf("tmcc: %v", status.Code)
	}
	return nil
}

// bootID is the kernel's, which is new with each boot; elsewhere a random one.
func (n node) bootID() (id tmc2.BootID) {
	text, err := os.ReadFile(n.root + bootIDFile)
	if err == nil {
		digits := strings.ReplaceAll(strings.TrimSpace(string(text)), "-", "")
		if raw, err := hex.DecodeString(digits); err == nil && copy(id[:], raw) == len(id) {
			return id
		}
	}
	return framed.NewBootID()
}

// legacyMark is the file that remembers a server.
func (n node) legacyMark(addr netip.AddrPort) string {
	return filepath.Join(n.root+legacyDir, fmt.Sprintf("legacy-%s-%d", addr.Addr(), addr.Port()))
}

// remember saves the hello to a legacy server until the next boot. It is a help
// only: where it cannot write, each call says hello.
func (n node) remember(mark string, boot tmc2.BootID) {
	if os.MkdirAll(filepath.Dir(mark), 0o755) == nil {
		_ = os.WriteFile(mark, []byte(bootText(boot)), 0o644)
	}
}

func bootText(boot tmc2.BootID) string { return hex.EncodeToString(boot[:]) }
